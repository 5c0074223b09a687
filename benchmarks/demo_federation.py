# SPDX-License-Identifier: Apache-2.0
"""The federation of the demonstration: the commands that a person would type, in order."""

from __future__ import annotations

import json
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_ROOT: Final = Path(__file__).resolve().parent.parent
MMAR: Final = _ROOT / "mmars" / "breast_cancer"
HOSPITALS: Final = 3
_PROJECT: Final = _ROOT / "projects" / "three_hospitals.yml"
_PORT: Final = "fed_learn_port: 8002"
_LEAD: Final = "lead@university.example"
_START_SECONDS: Final = 60.0
_RUN_SECONDS: Final = 300.0
_POLL_SECONDS: Final = 0.02


@dataclass(frozen=True, slots=True)
class Demonstration:
    """One server and three clients, each in a process.

    Attributes:
        folder: Where they keep their files; all commands are run there.
        seed: The run's seed.
        settings: The ``--set`` values for all of them.
        quiet: True to keep commands and the server's progress off the screen.
    """

    folder: Path
    seed: int
    settings: Mapping[str, Any]
    quiet: bool

    def run(self, *, insecure: bool) -> dict[str, Any]:
        """Run the federation and return the run's summary.

        Args:
            insecure: Without kits, signatures and encryption.
        """
        shutil.copytree(MMAR, self.folder / MMAR.name)
        self._say(f"in {self.folder}, with a copy of {MMAR.relative_to(_ROOT)}:")
        server, client = self._insecure() if insecure else self._provisioned()
        self._federate(server, client)
        file = self.folder / "server" / "run_1" / "summary.json"
        summary: dict[str, Any] = json.loads(file.read_text())
        return summary

    def _insecure(self) -> tuple[list[str], list[str]]:
        """Return how a server begins, and a client, where names are believed."""
        address = f"127.0.0.1:{_free_port()}"
        server = [MMAR.name, "--insecure", "--listen", address]
        return server, [MMAR.name, "--insecure", "--server", address, "--name", "{name}"]

    def _provisioned(self) -> tuple[list[str], list[str]]:
        """Make kits, sign the MMAR; return how a server begins, and a client."""
        port = f"fed_learn_port: {_free_port()}"
        (self.folder / "project.yml").write_text(_PROJECT.read_text().replace(_PORT, port))
        self._say(f"  (project.yml is {_PROJECT.relative_to(_ROOT)} with a free port)")
        self._do("provision", "project.yml", "--out", "kits")
        self._do("sign-mmar", MMAR.name, "--kit", f"kits/{_LEAD}")
        # The client is given no MMAR: it takes the server's, once its own rules accept it.
        return [MMAR.name, "--kit", "kits/localhost"], ["--kit", "kits/{name}"]

    def _federate(self, server: Sequence[str], client: Sequence[str]) -> None:
        pairs = _pairs(self.settings)
        # 0 is the MMAR's own seed.
        keep = ["--keep-models", "all", *(["--seed", str(self.seed)] if self.seed else [])]
        serve = ["run-server", *server, "--workspace", "server", *keep, *pairs]
        joins = {}
        for name in (f"site-{number}" for number in range(1, HOSPITALS + 1)):
            own = (word.format(name=name) for word in client)
            joins[name] = ["run-client", *own, "--workspace", "clients", *pairs]
        for command in (serve, *joins.values()):
            self._announce(command, " &")
        self._say("the first round takes longest: it waits for the trainers' processes to start")
        with ExitStack() as stack:
            running = [self._start(stack, serve, "server" if self.quiet else None)]
            _await_endpoint(self.folder / "server" / "endpoint.json", running[0])
            running += [self._start(stack, command, name) for name, command in joins.items()]
            self._await(running)

    def _do(self, *command: str) -> None:
        """Run one command of the program to its end."""
        self._announce(command)
        done = subprocess.run(
            _program(command), cwd=self.folder, capture_output=True, text=True, check=False
        )
        if done.returncode:
            sys.exit(f"`mmar-runner {shlex.join(command)}` failed\n{done.stdout}{done.stderr}")

    def _start(
        self, stack: ExitStack, command: Sequence[str], log: str | None
    ) -> subprocess.Popen[bytes]:
        """Start a command of the program; it is ended, at the latest, with the stack."""
        output = None
        if log is not None:
            output = stack.enter_context((self.folder / f"{log}.log").open("wb"))
        process = subprocess.Popen(_program(command), cwd=self.folder, stdout=output, stderr=output)
        stack.callback(_end, process)
        return process

    def _await(self, processes: Sequence[subprocess.Popen[bytes]]) -> None:
        """Wait until all have ended well; the server would wait for a client that failed."""
        deadline = time.monotonic() + _RUN_SECONDS
        while any(process.poll() is None for process in processes):
            if any(process.poll() for process in processes) or time.monotonic() > deadline:
                break
            time.sleep(_POLL_SECONDS)
        if any(process.poll() != 0 for process in processes):
            sys.exit(f"a process of the demonstration failed; the logs are in {self.folder}")

    def _announce(self, command: Sequence[str], end: str = "") -> None:
        self._say(f"  mmar-runner {shlex.join(command)}{end}")

    def _say(self, line: str) -> None:
        if not self.quiet:
            print(line, flush=True)


def _pairs(settings: Mapping[str, Any]) -> list[str]:
    return [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]


def _program(command: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "mmar_runner", *command]


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        process.wait(timeout=30)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _await_endpoint(endpoint: Path, server: subprocess.Popen[bytes]) -> None:
    """Wait until the server accepts connections."""
    deadline = time.monotonic() + _START_SECONDS
    while not endpoint.exists():
        if server.poll() is not None or time.monotonic() > deadline:
            sys.exit("the server did not start")
        time.sleep(_POLL_SECONDS)
