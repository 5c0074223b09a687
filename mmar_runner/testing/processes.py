# SPDX-License-Identifier: Apache-2.0
"""Real servers and clients, as processes of the command line, for end-to-end tests."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mmar_runner.interfaces.observer import Topic

#: How often a file that appears is looked for, in seconds: files raise no event here.
_POLL_SECONDS: Final = 0.02
_TIMEOUT_SECONDS: Final = 40.0


class RunningProgram:
    """One ``mmar-runner`` command that is running. Use it as a context manager.

    It is killed at the end of the block if it is still there. What it says is kept in
    two files, so that it never waits for a reader; its progress is JSON lines.

    Args:
        arguments: What follows ``mmar-runner``.
        folder: Where it runs, and where its output goes.
        label: Names the output files.
        environment: The whole environment, or None for this process's.

    Attributes:
        program: What Python runs: the command line, unless a subclass wraps it.
    """

    program: ClassVar[Sequence[str]] = ("-m", "mmar_runner")

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        folder: Path,
        label: str,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._outputs = (folder / f"{label}.out", folder / f"{label}.err")
        with self._outputs[0].open("wb") as out, self._outputs[1].open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, *self.program, "--log-format", "json", *arguments],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=environment,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def stdout(self) -> str:
        """What it has said so far."""
        return self._outputs[0].read_text()

    @property
    def stderr(self) -> str:
        """What it has complained about so far."""
        return self._outputs[1].read_text()

    def wait(self, *, timeout: float = _TIMEOUT_SECONDS) -> int:
        """Wait until it ends and return its exit code.

        Raises:
            AssertionError: It did not end in time.
        """
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"still running after {timeout:g} s\n{self._said()}") from error

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it, if it is still there, and wait until it is gone."""
        self.process.kill()
        self.process.wait()

    def observations(self, topic: Topic | None = None, **facts: Any) -> list[dict[str, Any]]:
        """Return the data of what it has observed so far.

        Args:
            topic: What it is about, or None for anything.
            facts: What the data must hold.
        """
        said = [json.loads(line) for line in self.stdout.splitlines() if line.endswith("}")]
        return [
            line["data"]
            for line in said
            if (topic is None or line.get("topic") == topic)
            and facts.items() <= line.get("data", {}).items()
        ]

    def wait_for(
        self, topic: Topic, *, timeout: float = _TIMEOUT_SECONDS, **facts: Any
    ) -> dict[str, Any]:
        """Wait until it has observed something, and return the first that matches.

        Args:
            topic: What it is about.
            timeout: Seconds to wait.
            facts: What the data must hold.

        Raises:
            AssertionError: It ended, or the time is over, without it.
        """
        found = partial(self.observations, topic, **facts)
        self._until(found, f"no {topic} {facts or ''}", timeout)
        return found()[0]

    def _until(self, holds: Callable[[], object], otherwise: str, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        pause = threading.Event()
        while not holds():
            ended = self.process.poll() is not None
            if (ended and not holds()) or time.monotonic() > deadline:
                raise AssertionError(f"{otherwise}\n{self._said()}")
            pause.wait(_POLL_SECONDS)

    def _said(self) -> str:
        return f"exit code: {self.process.poll()}\n{self.stdout}\n{self.stderr}"


class RunningServer(RunningProgram):
    """``run-server`` on a free port of loopback.

    Args:
        mmar: The MMAR's folder; None has it stand, and wait for administrators.
        workspace: Its workspace; output files lie beside it.
        options: Further arguments.
        variables: ``--set`` values.
        listen: Where to listen; port 0 picks a free one.
        kit: Its start-up kit; None speaks plain text.
        label: Names the output files; None for the workspace's name and ``-server``.
        environment: The whole environment, or None for this process's.
    """

    def __init__(
        self,
        mmar: Path | None,
        workspace: Path,
        *options: str,
        variables: Mapping[str, Any] | None = None,
        listen: str = "127.0.0.1:0",
        kit: Path | None = None,
        label: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._take(workspace)
        what = ["--admin-listen", "127.0.0.1:0"] if mmar is None else [str(mmar)]
        arguments = ["run-server", *what, "--workspace", str(workspace)]
        arguments += ["--listen", listen, *_kit(kit), *_settings(variables), *options]
        label = label or f"{workspace.name}-server"
        super().__init__(arguments, folder=workspace.parent, label=label, environment=environment)

    def _take(self, workspace: Path) -> None:
        self.workspace = workspace
        self._endpoint = workspace / "endpoint.json"
        with suppress(FileNotFoundError):
            self._endpoint.unlink()  # of a server that was killed

    def address(self, *, timeout: float = _TIMEOUT_SECONDS) -> str:
        """Wait until it accepts connections and return where.

        Raises:
            AssertionError: It ended, or the time is over, before that.
        """
        self._until(self._endpoint.exists, "no endpoint.json", timeout)
        return str(json.loads(self._endpoint.read_text())["listen"])

    def admin_address(self, *, timeout: float = _TIMEOUT_SECONDS) -> str:
        """Wait until it stands and return where administrators are answered.

        Raises:
            AssertionError: It ended, or the time is over, before that.
        """
        self.address(timeout=timeout)
        return str(json.loads(self._endpoint.read_text())["admin"])

    def summary(self, run_number: int = 1) -> dict[str, Any]:
        """Return what a run's ``summary.json`` says now."""
        path = self.workspace / f"run_{run_number}" / "summary.json"
        summary: dict[str, Any] = json.loads(path.read_bytes())
        return summary


class RunningCombiner(RunningServer):
    """``run-combiner`` on loopback: its clients come to its `address`, as to a server's.

    Args:
        mmar: The MMAR's folder.
        parent: Where its parent listens.
        name: Its name; with a kit, the kit's.
        folder: Where its workspace and output files lie, under its name.
        options: Further arguments.
        variables: ``--set`` values.
        listen: Where to listen; port 0 picks a free one.
        kit: Its start-up kit; None speaks plain text.
    """

    def __init__(
        self,
        mmar: Path,
        parent: str,
        name: str,
        folder: Path,
        *options: str,
        variables: Mapping[str, Any] | None = None,
        listen: str = "127.0.0.1:0",
        kit: Path | None = None,
    ) -> None:
        self._take(folder / name)
        arguments = ["run-combiner", str(mmar), "--parent", parent, "--listen", listen]
        arguments += [*_kit(kit), *([] if kit else ["--name", name])]
        arguments += ["--workspace", str(self.workspace), *_settings(variables), *options]
        label = f"{name}-{time.monotonic_ns()}"
        RunningProgram.__init__(self, arguments, folder=folder, label=label)


class RunningClient(RunningProgram):
    """``run-client`` on loopback.

    Args:
        mmar: The MMAR's folder; None takes the one that the server deployed.
        server: Where the server listens.
        name: The client's name; with a kit, the kit's.
        workspace: Where clients keep their files; output files lie in it.
        options: Further arguments.
        variables: ``--set`` values.
        kit: Its start-up kit; None speaks plain text.
        asks: Whether it asks the server which combiner to work below.
        environment: The whole environment, or None for this process's.
    """

    def __init__(
        self,
        mmar: Path | None,
        server: str,
        name: str,
        workspace: Path,
        *options: str,
        variables: Mapping[str, Any] | None = None,
        kit: Path | None = None,
        asks: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.workspace = workspace / name
        where = ["--controller" if asks else "--server", server]
        arguments = ["run-client", *([] if mmar is None else [str(mmar)]), *where]
        arguments += [*_kit(kit), *([] if kit else ["--name", name])]
        arguments += ["--workspace", str(workspace), *_settings(variables), *options]
        label = f"{name}-{time.monotonic_ns()}"
        super().__init__(arguments, folder=workspace, label=label, environment=environment)


def free_port() -> int:
    """Return a port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _kit(kit: Path | None) -> list[str]:
    return ["--insecure"] if kit is None else ["--kit", str(kit)]


def _settings(variables: Mapping[str, Any] | None) -> list[str]:
    return [
        part for key, value in (variables or {}).items() for part in ("--set", f"{key}={value}")
    ]
