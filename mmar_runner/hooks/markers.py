# SPDX-License-Identifier: Apache-2.0
"""The markers that plugin authors put on their hook functions."""

from __future__ import annotations

from typing import Final

import pluggy

#: The pluggy project name, and the entry-point group of installed plugins.
PROJECT_NAME: Final = "mmar_runner"

#: Every hook's name begins with this.
HOOK_PREFIX: Final = "mmar_"

hookspec = pluggy.HookspecMarker(PROJECT_NAME)
hookimpl = pluggy.HookimplMarker(PROJECT_NAME)
