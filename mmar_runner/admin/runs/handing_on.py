# SPDX-License-Identifier: Apache-2.0
"""The order of a run that was queued reaches its clients: at once, or when they come.

A client is asked once and its answer is remembered. It believes nothing but the signature of
whoever queued the run, however long ago that was.
"""

from __future__ import annotations

import asyncio
import base64
import logging
from functools import partial
from typing import TYPE_CHECKING, Final

from mmar_runner.errors import MmarRunnerError
from mmar_runner.waiting.races import end
from mmar_runner.waiting.threads import in_thread

if TYPE_CHECKING:
    from mmar_runner.admin.clients.hub import RequestHub
    from mmar_runner.admin.runs.federation_state import RunEntry
    from mmar_runner.admin.runs.run_desk import RunDesk

_log = logging.getLogger(__name__)

#: How long a client may take to fetch the MMAR and to begin, in seconds.
HAND_ON_SECONDS: Final = 600.0
#: Why there is no answer from somebody who may be asked again when it comes.
_COMES_AGAIN: Final = frozenset({"NOT_CONNECTED", "LEFT", "BUSY"})


class HandingOn:
    """Hands the order of the open run on. Used from the event loop.

    Args:
        desk: Knows the run that is open.
        hub: Reaches clients.
    """

    def __init__(self, desk: RunDesk, hub: RequestHub) -> None:
        self._desk = desk
        self._hub = hub
        self._asking: dict[tuple[int, str], asyncio.Task[None]] = {}

    async def work(self) -> None:
        """Ask clients as they come, until this is cancelled."""
        try:
            while True:
                changes = [self._desk.changes.wait(), self._hub.changes.wait()]
                waiting = [asyncio.ensure_future(change) for change in changes]
                self._ask_those_who_are_there()
                try:
                    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    await end(*waiting)
        finally:
            await end(*self._asking.values())

    def _ask_those_who_are_there(self) -> None:
        entry = self._desk.state.current
        if entry is None or not entry.order or self._desk.parts is None:
            return
        for name in (listener.name for listener in self._hub.listeners):
            key = (entry.number, name)
            meant = not entry.targets or name in entry.targets
            if meant and name not in entry.clients and key not in self._asking:
                task = self._asking[key] = asyncio.create_task(self._ask(entry, name))
                task.add_done_callback(partial(self._asked, key))

    def _asked(self, key: tuple[int, str], _: asyncio.Task[None]) -> None:
        self._asking.pop(key, None)

    async def _ask(self, entry: RunEntry, name: str) -> None:
        order, facts = base64.b64decode(entry.order), {"run_number": entry.number}
        gathered = await self._hub.ask([name], order, facts, HAND_ON_SECONDS)
        reason = next((missing.reason for missing in gathered.missing), "")
        if reason in _COMES_AGAIN:
            return
        if reason:
            _log.warning("%s does not take part in run %d: %s", name, entry.number, reason)
        entry.clients[name] = reason[:100]
        try:
            await in_thread(self._desk.save)
        except MmarRunnerError as error:  # at worst it is asked again, and says that it was
            _log.error("what %s answered cannot be remembered: %s", name, error.message)
