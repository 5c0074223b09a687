# SPDX-License-Identifier: Apache-2.0
"""The server's filters of one direction: in a child, which is kept from round to round."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mmar_runner.children.filter_request import filter_params
from mmar_runner.children.process import ChildProcess
from mmar_runner.errors import RunFailedError, TaskError
from mmar_runner.server.components.child_file import Author, clear
from mmar_runner.server.components.component_child import chain_spec
from mmar_runner.storage.atomic import translated

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mmar_runner.interfaces.filter import FilterContext
    from mmar_runner.mmar.spec import ComponentSpec
    from mmar_runner.server.records.workspace import RunFolder
    from mmar_runner.server.settings import ServerSettings

#: How long filters that have nothing to do may take to end, in seconds.
_CLOSE_SECONDS: Final = 2.0


class FilterChild:
    """Sends files through the filters of one direction.

    Args:
        settings: Of the server.
        folder: Of the run.
        slot: The direction, ``inbound_filters`` or ``outbound_filters``.
        filters: Their declarations, in order; at least one.

    Attributes:
        slot: The direction.
        place: A folder for the files that pass, and for nothing else.
        ledgers: Where what counts whatever becomes of a round is kept.
        author: Who is to blame for what lies there.
    """

    def __init__(
        self,
        settings: ServerSettings,
        folder: RunFolder,
        slot: str,
        filters: Sequence[ComponentSpec],
    ) -> None:
        self.slot = slot
        self.place: Path = folder.path / slot
        self.ledgers: Path = folder.path / "ledger" / slot
        self._spec = chain_spec(settings, folder, filters, place=self.place)
        self._log = folder.logs / f"{slot}.log"
        self._labels = [one.label for one in filters]
        who = f"the server's {slot} ({', '.join(self._labels)})"
        self.author = Author(who, "FILTER", self._log)
        self._timeout = settings.task_timeout
        self._child: ChildProcess | None = None

    async def begin(self) -> None:
        """Have the child and an empty folder, before the first file of a round.

        Raises:
            RunFailedError: FILTER, a filter cannot be built.
            StorageError: The folder cannot be made.
        """
        if self._child is not None and self._child.alive:
            return
        clear(self.place)  # of a server that was killed
        with translated(self.place):
            self.place.mkdir(parents=True)
        try:
            self._child = await ChildProcess.start(self._spec, log=self._log, timeout=self._timeout)
        except TaskError as error:
            raise self._failure(error) from error

    async def apply(
        self, source: Path, destination: Path, context: FilterContext, received: tuple[Path, str]
    ) -> None:
        """Write a file, filtered, after `begin`.

        Args:
            source: The file.
            destination: Where it goes.
            context: What filters are told.
            received: The model that differences are made to, and its digest.

        Raises:
            RunFailedError: FILTER, one of them failed, or masked what nobody could read.
        """
        assert self._child is not None  # noqa: S101 - it has begun
        params = filter_params(source, destination, context, received)
        try:
            answer = await self._child.request("filter", params, timeout=self._timeout)
        except TaskError as error:
            raise self._failure(error) from error
        if answer.get("encoded"):
            msg = f"a filter of the server masks what passes ({self.slot}), and nobody unmasks it"
            hint = "declare it on the client's side, before what leaves a site"
            raise RunFailedError(msg, hint=hint, reason="FILTER")

    async def close(self) -> None:
        """End the child, and remove what lies between the two."""
        child, self._child = self._child, None
        if child is not None:
            await child.close(grace=_CLOSE_SECONDS)
        clear(self.place)

    def _failure(self, error: TaskError) -> RunFailedError:
        told = any(label in error.message for label in self._labels)
        who = f"the server's {self.slot}" if told else self.author.who
        return RunFailedError(f"{who}: {error.message}", hint=error.hint, reason="FILTER")


def filter_child(
    settings: ServerSettings, folder: RunFolder, slot: str, filters: Sequence[Any]
) -> FilterChild | None:
    """Return what sends files through filters; None if there are none."""
    return FilterChild(settings, folder, slot, filters) if filters else None
