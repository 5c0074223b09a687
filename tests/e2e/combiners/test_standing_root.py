# SPDX-License-Identifier: Apache-2.0
"""A root that stands: an administrator starts the run, and combiners and clients come to it."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from mmar_runner.interfaces.observer import Topic
from mmar_runner.testing.kits import make_kits
from mmar_runner.testing.processes import RunningProgram
from tests.offices import LEAD, Office, signed_echo

pytestmark = pytest.mark.timeout(240)
_SECONDS = 100.0
SITES = ("site-1", "site-2")


def test_an_open_run_assigns_its_clients(tmp_path: Path) -> None:
    kits = make_kits(
        tmp_path / "project", clients=SITES, admins=(LEAD,), combiners=("east",), assigns=True
    )
    mmar = signed_echo(tmp_path, kits)
    settings = ("--set", "NUM_ROUNDS=2", "--set", "MODEL_MB=0.3")
    with Office(kits, tmp_path / "office") as office, ExitStack() as stack:
        root = f"localhost:{office.clients_address.rpartition(':')[2]}"

        def start(command: str, name: str, *what: str) -> RunningProgram:
            arguments = [command, *what, "--kit", str(kits.client(name)), *settings]
            arguments += ["--workspace", str(tmp_path / name / "ws")]
            program = RunningProgram(arguments, folder=tmp_path / name, label=command)
            return stack.enter_context(program)

        office.order("upload", str(mmar))
        office.order("set_run_number", "1")
        office.order("deploy", "echo", "server")
        clients = [start("run-client", name, "--controller", root) for name in SITES]
        for client in clients:
            client.wait_for(Topic.WAITING)
        assert "no run is open" in clients[0].observations(Topic.WAITING)[0]["message"]
        office.order("start", "server")
        listen = ("--parent", root, "--listen", "localhost:0")
        east = start("run-combiner", "east", str(mmar), *listen)
        assert [one.wait(timeout=_SECONDS) for one in (east, *clients)] == [0] * 3, east.stderr
        assert [one.observations(Topic.ASSIGNED)[0]["combiner"] for one in clients] == ["east"] * 2
