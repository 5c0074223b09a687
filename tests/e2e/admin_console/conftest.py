# SPDX-License-Identifier: Apache-2.0
"""A standing federation of real processes, and its administrator's console."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mmar_runner.cli.main import main
from mmar_runner.interfaces.observer import Topic
from mmar_runner.testing.kits import Kits, make_kits
from mmar_runner.testing.processes import RunningClient, RunningProgram, free_port
from tests.e2e.admin_console.terminal import Terminal

LEAD = "lead@example.org"
SITES = ("site-1", "site-2")
ECHO = Path(__file__).parents[3] / "mmars" / "echo"
VARIABLES = {"NUM_ROUNDS": 200, "MODEL_MB": 0.01, "SECONDS": 0.3}


class Office(RunningProgram):
    """``run-server`` without an MMAR."""

    def __init__(self, folder: Path, kit: Path, ports: tuple[int, int], *options: str) -> None:
        self.workspace = folder / "ws"
        clients, admins = (f"127.0.0.1:{port}" for port in ports)
        words = ["run-server", "--kit", str(kit), "--workspace", str(self.workspace)]
        words += ["--listen", clients, "--admin-listen", admins, *options]
        super().__init__(words, folder=folder, label=f"office-{len(list(folder.iterdir()))}")


class Federation:
    """Kits, a signed MMAR, and the processes of a federation that stands."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kits: Kits = make_kits(folder / "project", clients=SITES, admins=(LEAD,))
        self.kit = self.kits.admin(LEAD)
        self.ports = (free_port(), free_port())
        self.mmar = Path(shutil.copytree(ECHO, folder / "study"))
        path = self.mmar / "config" / "environment.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **VARIABLES}))
        with contextlib.suppress(SystemExit):
            main(["sign-mmar", str(self.mmar), "--kit", str(self.kit)])

    @property
    def options(self) -> list[str]:
        return ["--kit", str(self.kit), "--server", f"127.0.0.1:{self.ports[1]}"]

    @contextlib.contextmanager
    def office(self, *options: str) -> Iterator[Office]:
        with Office(self.folder, self.kits.server, self.ports, *options) as office:
            office.wait_for(Topic.STANDING)
            yield office

    @contextlib.contextmanager
    def clients(self) -> Iterator[None]:
        server = f"127.0.0.1:{self.ports[0]}"
        with contextlib.ExitStack() as stack:
            for name in SITES:
                client = RunningClient(
                    None, server, name, self.folder / "clients", kit=self.kits.client(name)
                )
                stack.enter_context(client).wait_for(Topic.STANDING)
            yield

    def console(self, **environment: str) -> Terminal:
        return Terminal(["admin", *self.options], self.folder, environment)

    def order(self, *words: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
        """Give one order, or a console in a pipe the lines of a text."""
        return subprocess.run(
            [sys.executable, "-m", "mmar_runner", "admin", *self.options, *words],
            input=text or "",
            capture_output=True,
            text=True,
            cwd=self.folder,
            timeout=120,
            check=False,
        )

    def ordered(self, *words: str) -> dict[str, Any]:
        """Give one order that is to succeed, and return its result."""
        done = self.order("--json", *words)
        assert done.returncode == 0, done.stdout + done.stderr
        result: dict[str, Any] = json.loads(done.stdout)
        return result


@pytest.fixture
def federation(tmp_path: Path) -> Federation:
    """A federation of which nothing runs yet."""
    return Federation(tmp_path)
