# SPDX-License-Identifier: Apache-2.0
"""The same command once more, in the same process: what a restart is."""

from __future__ import annotations

import os
import sys
from typing import NoReturn


def execute_again() -> NoReturn:
    """Execute the command that this process was started with, anew and from its beginning.

    The process keeps its number, its terminal and its environment, so that whoever supervises
    it sees none end.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - our own words
