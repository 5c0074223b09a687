# SPDX-License-Identifier: Apache-2.0
"""Notices that the open round's model is not the recorded file any more, while the server runs.

To read a whole file before it is sent would cost every round a pass over its model. So it is
read again only if the file system says that the file has changed, or if there is doubt: it
could not be read, or a client that was sent all of it asks for it once more. What is damaged
stops the run, which can be resumed: whoever starts the server again finds the file restored,
or goes back to the model before.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from mmar_runner.errors import StorageError
from mmar_runner.server.records.losses import condition

if TYPE_CHECKING:
    from collections.abc import Callable

    from mmar_runner.server.records.model_file import ModelFile
    from mmar_runner.server.records.models import ModelStore
    from mmar_runner.server.rounds.assignments import Assignments

#: How often a model is read again at most because of doubt, in seconds: doubt costs a client
#: nothing, and a server a pass over the model.
_PAUSE_SECONDS: Final = 10.0


class Soundness:
    """Looks at models that are sent. Used from the event loop.

    Args:
        models: The run's models.
        assignments: Know which round is open: a model of an earlier one may be gone.
        interrupt: Stops the run, which can be resumed.
        pause: See `_PAUSE_SECONDS`.
    """

    def __init__(
        self,
        models: ModelStore,
        assignments: Assignments,
        interrupt: Callable[[StorageError], None],
        *,
        pause: float = _PAUSE_SECONDS,
    ) -> None:
        self._models = models
        self._assignments = assignments
        self._interrupt = interrupt
        self._pause = pause
        self._looking = asyncio.Lock()
        self._looked = float("-inf")

    async def require(self, round_number: int, model: ModelFile) -> None:
        """See that the file is as it was when its digest was known; else read it.

        Raises:
            StorageError: It is another one, or may not be read; if it is damaged, the run stops.
        """
        if not model.is_as_it_was:
            await self._look(round_number, model)

    async def doubt(self, round_number: int, model: ModelFile) -> None:
        """Read the file, whatever the file system says of it; but not all the time.

        Raises:
            StorageError: As `require`.
        """
        now = asyncio.get_running_loop().time()
        if now - self._looked < self._pause:
            return
        self._looked = now
        self._models.forget_digest(model)
        await self._look(round_number, model)

    async def _look(self, round_number: int, model: ModelFile) -> None:
        name, sha256 = model.path.name, model.sha256
        async with self._looking:
            lost = await asyncio.to_thread(self._models.loss_of_file, name, round_number, sha256)
        current = self._assignments.current
        if lost is not None and current is not None and current.model is model:
            msg = (
                f"the model of round {round_number} was damaged while the server ran: "
                f"{model.path} {condition(lost)}; restore it, or start the server again: it "
                "goes back to the model before, if there is one"
            )
            error = StorageError(msg)
            self._interrupt(error)
            raise error
