# SPDX-License-Identifier: Apache-2.0
"""The last thing that is done with an update before it leaves: its tensors are encoded."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

from mmar_runner.children.process import ChildProcess
from mmar_runner.children.spec import ChildContext, ChildSpec
from mmar_runner.errors import TaskFailedError
from mmar_runner.interfaces.update import finite

if TYPE_CHECKING:
    from pathlib import Path

    from mmar_runner.client.settings import SessionSettings


class Encoder(Protocol):
    """Encodes files, wherever that is done."""

    async def encode(self, source: Path, destination: Path, codec: str) -> float:
        """Write ``source`` in a codec to ``destination``; return what that lost.

        Returns:
            The norm of the difference over the norm of what was encoded.

        Raises:
            TaskError: CODEC, a value is more than the codec holds; or the process failed.
        """
        ...

    async def close(self) -> None:
        """End it, even in the middle of a file."""
        ...


class EncodingChild:
    """A child process that encodes: it has numpy, which a session has not.

    It runs no code of the MMAR, so that one may serve several clients, each in its turn.

    Args:
        spec: What the child is.
        log: The file that gets what it prints.
        timeout: Seconds that one file may take, or None.
    """

    def __init__(self, spec: ChildSpec, *, log: Path, timeout: float | None) -> None:
        self._spec = spec
        self._log = log
        self._timeout = timeout
        self._child: ChildProcess | None = None
        self._turn = asyncio.Lock()

    async def encode(self, source: Path, destination: Path, codec: str) -> float:
        """Write ``source`` in a codec to ``destination``; see `Encoder`."""
        params = {"source": str(source), "destination": str(destination), "codec": codec}
        async with self._turn:
            child = await self._living()
            return _error(await child.request("encode", params, timeout=self._timeout))

    async def close(self) -> None:
        """End the child."""
        if self._child is not None:
            await self._child.close()

    async def _living(self) -> ChildProcess:
        if self._child is None or not self._child.alive:
            self._child = await ChildProcess.start(self._spec, log=self._log, timeout=self._timeout)
        return self._child


def encoding_spec(settings: SessionSettings) -> ChildSpec:
    """Return what the child is that encodes: it needs nothing of the MMAR."""
    return ChildSpec(
        role="codec",
        context=ChildContext(settings.name),
        threads=settings.threads,
        memory_limit_bytes=settings.memory_limit_bytes,
    )


def _error(answer: dict[str, Any]) -> float:
    try:
        return finite(answer.get("error"))
    except TypeError as error:
        msg = f"the codec's child gave no error: {answer!r:.80}"
        raise TaskFailedError(msg) from error
