# SPDX-License-Identifier: Apache-2.0
"""Children that are asked, and what becomes of one that cannot answer: a finding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from mmar_runner.children.process import ChildProcess
from mmar_runner.children.spec import ChildContext, ChildSpec
from mmar_runner.deep.options import memory_mend
from mmar_runner.deep.places import part_named
from mmar_runner.errors import ChildDiedError, TaskError, TaskTimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from mmar_runner.deep.options import DeepOptions
    from mmar_runner.deep.places import Place
    from mmar_runner.mmar.checks.case import Look
    from mmar_runner.mmar.spec import MmarSpec

_T = TypeVar("_T")

#: Lines of a child's log that are repeated of one that died.
_LAST_LINES: Final = 1
_BUILD: Final = "Correct the arguments, or the class: its constructor raised this."
_DIED: Final = "Look for what ends the process in the constructor, or for memory that ran out."
_SLOW: Final = "Look for what the constructor waits for; it should load no data."


class Child:
    """A child that is started with the first question, and again if it has died of one.

    Args:
        spec: What it is.
        log: Of what it prints.
        seconds: How long an answer may take.
    """

    def __init__(self, spec: ChildSpec, log: Path, seconds: float) -> None:
        self.spec = spec
        self.log = log
        self._seconds = seconds
        self._process: ChildProcess | None = None

    async def __aenter__(self) -> Self:
        """Begin; nothing is started yet."""
        return self

    async def __aexit__(self, *_error: object) -> None:
        """End the process."""
        if self._process is not None:
            await self._process.close()

    async def request(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Ask it.

        Raises:
            TaskError: It failed, took too long, or ended.
        """
        if self._process is None or not self._process.alive:
            start = ChildProcess.start(self.spec, log=self.log, timeout=self._seconds)
            self._process = await start
        return await self._process.request(method, params, timeout=self._seconds)


class Questions:
    """Asks children about one MMAR.

    Args:
        look: The MMAR, and where findings go.
        spec: What it says.
        options: What may be run, and for how long.
        folder: A folder for logs and what children write.
    """

    def __init__(self, look: Look, spec: MmarSpec, options: DeepOptions, folder: Path) -> None:
        self._look = look
        self._spec = spec
        self._options = options
        self._folder = folder

    def child(self, side: str, **more: Any) -> Child:
        """Return a child that describes components of a side.

        Args:
            side: ``server`` or ``client``.
            more: What else it is, in place of one that describes.
        """
        spec, options = self._spec, self._options
        own_code = side == "client" and spec.byoc and options.own_code
        workspace = self._folder / side
        workspace.mkdir(exist_ok=True)
        told = ChildSpec(
            **{"role": "description", **more},
            context=ChildContext(
                client_name=side,
                mmar=str(spec.root),
                workspace=str(workspace),
                train_config=dict(spec.train_config),
                validation_config=dict(spec.validation_config),
                variables=dict(spec.variables),
                commands=spec.commands and options.own_code,
            ),
            custom_dir=str(spec.root / "custom") if own_code else None,
            plugins_dir=None if options.plugins_dir is None else str(options.plugins_dir),
            allowed_path_prefixes=options.allowed_path_prefixes,
            memory_limit_bytes=options.memory_bytes,
        )
        log = self._folder / f"{side}_{told.role}.log"
        return Child(told, log, options.describe_seconds)

    async def answer(
        self,
        child: Child,
        place: Place | None,
        asked: tuple[str, Mapping[str, Any]],
        read: Callable[[Mapping[str, Any]], _T],
        code: str = "MMAR666",
    ) -> _T | None:
        """Return what a child answers, read; None if it cannot, which is then a finding.

        Args:
            child: Who is asked.
            place: What it is about.
            asked: The method and its parameters.
            read: Reads an answer; raises TaskError if it is none.
            code: Of the finding.
        """
        try:
            return read(await child.request(*asked))
        except TaskError as error:
            self._failed(place, code, error, child.log)
            return None

    def _failed(self, place: Place | None, code: str, error: TaskError, log: Path) -> None:
        place = part_named(self._look, error.message) or place
        if place is None:
            return
        mend = _DIED if isinstance(error, ChildDiedError) else _BUILD
        mend = _SLOW if isinstance(error, TaskTimeoutError) else mend
        hint = without_log(error.hint, log) or (mend if code == "MMAR666" else None)
        last = "; ".join(error.log[-_LAST_LINES:]) if isinstance(error, ChildDiedError) else ""
        said = f"{error.message}; it last said: {last}" if last.strip() else error.message
        hint = memory_mend(said, self._options.memory_bytes) or hint
        place.find(self._look, code, f"{_begun(said)}.", hint)


def _begun(text: str) -> str:
    """Return a text as a sentence begins; a kind of component with two words stays as it is."""
    return text if "_" in text.partition(" ")[0] else f"{text[0].upper()}{text[1:]}"


def without_log(hint: str | None, log: Path) -> str | None:
    """Return a hint without the place of a log that is gone when it is read."""
    if hint is None:
        return None
    for words in (f"the traceback is in {log}", f"its log is {log}"):
        hint = hint.replace(words, "")
    return hint.strip("; ") or None
