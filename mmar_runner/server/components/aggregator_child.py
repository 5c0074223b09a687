# SPDX-License-Identifier: Apache-2.0
"""An aggregator of whole updates: in a child of the server, which is kept from round to round."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.children.process import ChildProcess
from mmar_runner.errors import RunFailedError, TaskError
from mmar_runner.interfaces.aggregator import UpdateKind
from mmar_runner.interfaces.whole_aggregator import WholeResult
from mmar_runner.server.components.child_file import Author, clear
from mmar_runner.server.components.component_child import START_SECONDS, child_spec
from mmar_runner.storage.atomic import translated

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mmar_runner.interfaces.aggregator import Contribution
    from mmar_runner.interfaces.whole_aggregator import WholeRound
    from mmar_runner.mmar.spec import ComponentSpec
    from mmar_runner.server.records.workspace import RunFolder
    from mmar_runner.server.settings import ServerSettings

#: How long an aggregator that has nothing to do may take to end, in seconds.
_CLOSE_SECONDS: Final = 2.0


class AggregatorChild:
    """Asks an aggregator that lives in a child; whatever it answers is a stranger's word.

    Args:
        settings: Of the server.
        folder: Of the run.
        spec: The aggregator's declaration.

    Attributes:
        place: A folder for the files that pass between the two, and for nothing else.
        author: Who is to blame for what lies there.
    """

    def __init__(self, settings: ServerSettings, folder: RunFolder, spec: ComponentSpec) -> None:
        self.place: Path = folder.path / "aggregator"
        self._spec = child_spec(settings, folder, "aggregator", spec, place=self.place)
        self._label = spec.label
        self._log = folder.logs / "aggregator.log"
        self.author = Author(spec.label, "AGGREGATOR", self._log)
        self._timeout = settings.task_timeout
        self._child: ChildProcess | None = None
        self._under_way = False

    async def begin(self, round_: WholeRound) -> UpdateKind:
        """Begin a round; return what the aggregator wants its files to hold.

        What an object took of a round that was not brought to its end cannot be taken from it
        again: then another one does the round.

        Raises:
            RunFailedError: AGGREGATOR, it failed.
        """
        if self._under_way:
            await self.close()
        if self._child is None or not self._child.alive:
            self._make_place()
            self._child = await self._started()
        self._under_way = True
        answer = await self._ask("begin", asdict(round_))
        return self._kind(answer, "wants")

    async def accept(self, contribution: Contribution, file: Path) -> str:
        """Hand over an update; return why it shall not count, or nothing.

        Raises:
            RunFailedError: AGGREGATOR, it failed.
        """
        told = {**asdict(contribution), "kind": contribution.kind.value}
        answer = await self._ask("accept", {"contribution": told, "file": str(file)})
        refused = answer.get("refused")
        if not isinstance(refused, str):
            raise self._nonsense("accept")
        return refused

    async def aggregate(self, destination: Path) -> WholeResult:
        """Have the result written; what is in the file is not looked at.

        Raises:
            RunFailedError: AGGREGATOR, it failed.
        """
        answer = await self._ask("aggregate", {"destination": str(destination)})
        left_out = answer.get("left_out")
        if not isinstance(left_out, list) or not all(isinstance(name, str) for name in left_out):
            raise self._nonsense("aggregate")
        self._under_way = False
        return WholeResult(self._kind(answer, "kind"), tuple(left_out))

    def forget(self, file: Path) -> None:
        """Remove a file that has passed between the two."""
        clear(file)

    async def close(self) -> None:
        """End the child, and remove what lies between the two."""
        child, self._child = self._child, None
        self._under_way = False
        if child is not None:
            await child.close(grace=_CLOSE_SECONDS)
        clear(self.place)

    def _make_place(self) -> None:
        clear(self.place)  # of a server that was killed
        with translated(self.place):
            self.place.mkdir(parents=True, exist_ok=True)

    async def _started(self) -> ChildProcess:
        try:
            limit = max(self._timeout, START_SECONDS)
            return await ChildProcess.start(self._spec, log=self._log, timeout=limit)
        except TaskError as error:
            raise self._failure(error) from error

    async def _ask(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        assert self._child is not None  # noqa: S101 - `begin` comes first
        try:
            return await self._child.request(method, params, timeout=self._timeout)
        except TaskError as error:
            raise self._failure(error) from error

    def _kind(self, answer: Mapping[str, Any], key: str) -> UpdateKind:
        kind = answer.get(key)
        if not isinstance(kind, str) or kind not in set(UpdateKind):
            raise self._nonsense(key)
        return UpdateKind(kind)

    def _failure(self, error: TaskError) -> RunFailedError:
        msg = f"{self._label} failed: {error.message}"
        return RunFailedError(msg, hint=error.hint, reason="AGGREGATOR")

    def _nonsense(self, what: str) -> RunFailedError:
        msg = f"{self._label} failed: its process answered {what} with what is no answer"
        return RunFailedError(msg, hint=f"its log is {self._log}", reason="AGGREGATOR")
