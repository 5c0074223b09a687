# SPDX-License-Identifier: Apache-2.0
"""The simulation's server: ``python -m mmar_runner.simulation.server_process``.

It is told what to do in one JSON line on standard input and tells what happens in JSON
lines on standard output. When standard input ends (the simulation has gone, or wants
it so), it stops in order.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import threading
import traceback
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.children.last_resort import LastResort
from mmar_runner.errors import MmarInvalidError, MmarRunnerError, RunStoppedError
from mmar_runner.hooks import load_plugins
from mmar_runner.mmar.validation import validate
from mmar_runner.server.run import run_server
from mmar_runner.server.settings import OWN_CODE_SECONDS, ServerSettings
from mmar_runner.simulation.job import Job
from mmar_runner.simulation.server_log import SentLog
from mmar_runner.simulation.settings import known_key, simulated
from mmar_runner.storage.memory import settle_memory

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mmar_runner.hooks import LoadedPlugins
    from mmar_runner.interfaces.observer import Observation

#: They only tell how far a task is: sessions that live in one process do not die alone.
_HEARTBEATS_PER_SECOND: Final = 30.0
#: Observations and log messages come from several threads.
_LINES: Final = threading.Lock()


def main() -> int:
    """Serve the run that standard input describes; return the exit code."""
    job = Job.from_json(json.loads(_read_line(sys.stdin.fileno())))
    logging.basicConfig(level=job.log_level, handlers=[SentLog(partial(_say, "log"))])
    try:
        outcome = asyncio.run(_serve(job))
    except MmarRunnerError as error:
        shown = "".join(traceback.format_exception(error))
        said = {"message": error.message, "hint": error.hint, "reason": error.reason}
        _say("error", {**said, "traceback": shown})
        return error.exit_code
    finally:
        _remove_socket(Path(job.listen.removeprefix("unix:")))
    _say("outcome", outcome)
    return 0


def _remove_socket(path: Path) -> None:
    """Remove the socket and its folder, which a simulation that was killed cannot."""
    with suppress(OSError):  # the simulation was first, or does it
        path.unlink(missing_ok=True)
        path.parent.rmdir()


async def _serve(job: Job) -> dict[str, str]:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_reader(
        sys.stdin.fileno(), _input_ended, stop, LastResort(RunStoppedError.exit_code)
    )
    settle_memory()
    settings = job.settings
    plugins = load_plugins(plugins_dir=settings.plugins_dir)
    outcome = await run_server(_server_settings(job, plugins), plugins, _Teller(), stop)
    return {
        "status": outcome.status.value,
        "reason": outcome.reason,
        "run_folder": str(outcome.run_folder),
        "hint": outcome.hint,
    }


def _server_settings(job: Job, plugins: LoadedPlugins) -> ServerSettings:
    settings = job.settings
    validation = validate(
        settings.mmar,
        plugins.registry,
        side="server",
        settings=settings.all_variables,
        asked=settings.asked,
    )
    if validation.spec is None or not validation.report.valid:
        msg = f"{settings.mmar} is not a valid MMAR"
        raise MmarInvalidError(msg, hint=f"mmar-runner validate-mmar {settings.mmar}")
    return ServerSettings(
        spec=simulated(validation.spec, settings),
        workspace=settings.workspace,
        listen=job.listen,
        seed=settings.seed,
        keep_models=settings.keep_models,
        new_run=settings.new_run,
        retry_failed=settings.retry_failed,
        durability=settings.durability,
        expected_clients=settings.clients,
        variables=settings.all_variables,
        plugins_dir=settings.plugins_dir,
        allow_byoc=settings.allow_byoc,
        heartbeats_per_second=_HEARTBEATS_PER_SECOND,
        task_timeout=settings.task_timeout or OWN_CODE_SECONDS,
        memory_limit_bytes=settings.memory_limit_bytes,
        # No client has an underscore alone for its name.
        known_key=known_key(settings, validation.spec, "_"),
        synthetic=settings.synthetic,
    )


class _Teller:
    """Tells the simulation what the server observes."""

    def observe(self, observation: Observation) -> None:
        _say("observation", {"topic": observation.topic, "data": dict(observation.data)})


def _say(kind: str, value: Mapping[str, Any]) -> None:
    with _LINES:
        sys.stdout.write(json.dumps({kind: value}) + "\n")
        sys.stdout.flush()


def _read_line(descriptor: int) -> bytes:
    """Read one line and nothing behind it, so that its end can be waited for."""
    line = bytearray()
    while not line.endswith(b"\n") and (byte := os.read(descriptor, 1)):
        line += byte
    return bytes(line)


def _input_ended(stop: asyncio.Event, last_resort: LastResort) -> None:
    if not os.read(sys.stdin.fileno(), 1):
        last_resort.begin()
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
        stop.set()


if __name__ == "__main__":
    sys.exit(main())
