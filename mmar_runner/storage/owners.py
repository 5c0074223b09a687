# SPDX-License-Identifier: Apache-2.0
"""Whose a file is: this user's and root's are ours, for nobody else can change them."""

from __future__ import annotations

import os
from typing import Final

_ROOT: Final = 0


def is_ours(status: os.stat_result) -> bool:
    """Return True if a file belongs to the user of this process, or to root.

    An owner can change a file whatever its permission bits say.
    """
    return status.st_uid in {os.geteuid(), _ROOT}
