# SPDX-License-Identifier: Apache-2.0
"""The simulation's end of its server process."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.documents.words import same_command
from mmar_runner.errors import MmarRunnerError, RunFailedError, RunStoppedError
from mmar_runner.federation.run_status import RunStatus, run_end
from mmar_runner.interfaces.observer import Observation, Topic
from mmar_runner.simulation.server_log import log_here

if TYPE_CHECKING:
    from mmar_runner.interfaces.observer import Observer
    from mmar_runner.simulation.job import Job

#: The longest line that is understood, in bytes: an observation names every client.
_LINE_BYTES: Final = 16 << 20
#: How long a server that was told to stop may take, in seconds.
_STOP_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class ServerEnd:
    """How the server's run ended."""

    status: RunStatus
    reason: str
    run_folder: Path
    hint: str = ""


class ServerChild:
    """A running server process."""

    def __init__(
        self, process: asyncio.subprocess.Process, observer: Observer, *, new_run: bool
    ) -> None:
        self._process = process
        self._observer = observer
        self._hint = f"{same_command(new_run=new_run)} resumes the run"
        self._end: ServerEnd | MmarRunnerError | None = None
        self._reading = asyncio.create_task(self._read())
        self._listens = False
        self._known = asyncio.Event()

    @classmethod
    async def start(cls, job: Job, observer: Observer) -> ServerChild:
        """Start the process and tell it what to do; it is not listening yet.

        Args:
            job: What to serve.
            observer: Sees what the server observes.
        """
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            "mmar_runner.simulation.server_process",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_LINE_BYTES,
            start_new_session=True,  # Ctrl-C reaches the simulation, which stops it in order
        )
        assert process.stdin is not None  # noqa: S101 - it was asked for
        process.stdin.write(json.dumps(job.to_json()).encode() + b"\n")
        return cls(process, observer, new_run=job.settings.new_run)

    async def listens(self) -> bool:
        """Wait until it accepts connections; False if it has ended without doing so."""
        await self._known.wait()
        return self._listens

    async def ended(self) -> ServerEnd:
        """Wait until the process has ended and return how its run did.

        Raises:
            MmarRunnerError: The run could not begin.
            RunStoppedError: The process was killed; the run can be resumed.
            RunFailedError: The process ended without a word.
        """
        await asyncio.shield(self._reading)
        code = await self._process.wait()
        if self._end is None:
            if code < 0:
                msg = f"the simulation's server process was killed by signal {-code}"
                raise RunStoppedError(msg, hint=self._hint)
            msg = f"the simulation's server process ended with exit code {code}"
            raise RunFailedError(msg, hint=self._hint)
        if isinstance(self._end, MmarRunnerError):
            raise self._end
        return self._end

    def stop(self) -> None:
        """Ask the server to stop; its run can be resumed."""
        if self._process.stdin is not None:
            self._process.stdin.close()

    async def close(self) -> None:
        """End the process if it has not ended, in order if it can."""
        self.stop()
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        await self._reading

    async def _read(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - it was asked for
        try:
            while line := await self._process.stdout.readline():
                self._hear(json.loads(line))
        finally:
            self._known.set()

    def _hear(self, said: dict[str, Any]) -> None:
        match said:
            case {"observation": {"topic": topic, "data": data}}:
                if topic == Topic.LISTENING:
                    self._listens = True
                    self._known.set()
                self._observer.observe(Observation(Topic(topic), data))
            case {"log": dict(fields)}:
                log_here(fields)
            case {"outcome": {"status": status, "reason": reason, "run_folder": folder} as said}:
                self._end = ServerEnd(run_end(status), reason, Path(folder), said["hint"])
            case {"error": {"message": message, "hint": hint, "reason": reason} as said}:
                self._end = RunFailedError(message, hint=hint, reason=reason)
                self._end.add_note(f"In the server's process:\n{said['traceback'].rstrip()}")
