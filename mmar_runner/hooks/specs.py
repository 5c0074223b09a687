# SPDX-License-Identifier: Apache-2.0
"""Every hook a plugin may implement: signatures and their meaning, nothing else.

A plugin may take fewer arguments than a hook offers. New arguments are only added.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmar_runner.hooks.markers import hookspec

if TYPE_CHECKING:
    from mmar_runner.hooks.registrar import Registrar
    from mmar_runner.interfaces.handler import RunEvent


@hookspec
def mmar_register_components(registry: Registrar) -> None:
    """Register components: call ``registry.add(...)`` once for each.

    Called once, when plugins are loaded. Keep it to data: whatever needs numpy, torch
    or your working code is named by ``target`` and imported when it is built.
    """


@hookspec
def mmar_on_event(event: RunEvent) -> None:
    """See an event of a run on the server; a plugin cannot change the run.

    Called for every `EventType`, in order, from one thread, after the handlers that
    the MMAR declares.
    """
