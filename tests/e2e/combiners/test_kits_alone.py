# SPDX-License-Identifier: Apache-2.0
"""A client that holds nothing but its kit: it asks, is assigned, receives the MMAR and works."""

from __future__ import annotations

import json
import shutil
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from mmar_runner.errors import UsageError
from mmar_runner.interfaces.observer import Topic
from mmar_runner.security.provisioning.calls import provision
from mmar_runner.security.provisioning.project_file import load_project
from mmar_runner.testing.processes import RunningProgram, free_port
from tests.e2e.combiners.conftest import ECHO
from tests.signed_mmars import sign, signer_of

pytestmark = pytest.mark.timeout(240)
_SECONDS = 100.0
VARIABLES = {"NUM_ROUNDS": 2, "MODEL_MB": 0.3}


def project(ports: dict[str, int], **server: Any) -> str:
    """Return a project whose server assigns clients to two combiners; site-1 has no choice."""
    hosts = {"cn": "localhost", "org": "a"}
    return yaml.safe_dump(
        {
            "name": "demo",
            "server": {
                **hosts,
                "fed_learn_port": ports["root"],
                "min_num_clients": 3,
                "assign_clients": True,
                **server,
            },
            "combiners": [
                {**hosts, "name": name, "fed_learn_port": ports[name]} for name in ("east", "west")
            ],
            "fl_clients": [
                {"client_name": "site-1", "org": "b", "combiner": "west"},
                {"client_name": "site-2", "org": "c"},
                {"client_name": "site-3", "org": "d"},
            ],
            "admin_clients": [{"email": "lead@example.org", "org": "a"}],
        }
    )


def test_kits_say_all_that_a_tree_needs(tmp_path: Path) -> None:
    ports = {name: free_port() for name in ("root", "east", "west")}
    (tmp_path / "project.yml").write_text(project(ports))
    kits = tmp_path / "kits"
    provision(tmp_path / "project.yml", kits, now=datetime.now(UTC))
    mmar = Path(shutil.copytree(ECHO, tmp_path / "echo"))
    sign(mmar, signer_of(kits / "lead@example.org"))
    settings = [part for k, v in VARIABLES.items() for part in ("--set", f"{k}={v}")]

    def start(stack: ExitStack, command: str, kit: str, *what: str) -> RunningProgram:
        folder = tmp_path / kit
        program = RunningProgram(
            [command, *what, "--kit", str(kits / kit), *settings], folder=folder, label="run"
        )
        return stack.enter_context(program)

    with ExitStack() as stack:
        root = start(stack, "run-server", "localhost", str(mmar))
        root.wait_for(Topic.LISTENING)
        combiners = [
            start(stack, "run-combiner", name, str(mmar), "--workspace", str(tmp_path / name / "w"))
            for name in ("east", "west")
        ]
        for combiner in combiners:
            combiner.wait_for(Topic.REGISTERED)
        sites = [start(stack, "run-client", f"site-{number}") for number in (1, 2, 3)]
        assert root.wait(timeout=_SECONDS) == 0, root.stderr
        assert [one.wait() for one in (*combiners, *sites)] == [0] * 5
        for site in sites:
            assert site.observations(Topic.PACKAGE_RECEIVED, mmar="echo")
        assert root.observations(Topic.ASSIGNED, client="site-1")[0]["combiner"] == "west"
        (summary,) = tmp_path.glob("localhost/workspace/echo/run_1/summary.json")
        shares = json.loads(summary.read_text())["rounds"][-1]["contributions"]
        assert {one["client"].rpartition("/")[2] for one in shares} == {
            f"site-{number}" for number in (1, 2, 3)
        }


def test_kits_of_such_a_project_say_who_is_assigned_and_who_is_pinned(tmp_path: Path) -> None:
    ports = {"root": 8002, "east": 9002, "west": 9003}
    (tmp_path / "project.yml").write_text(project(ports))
    provision(tmp_path / "project.yml", tmp_path / "kits", now=datetime.now(UTC))
    config = {
        name: json.loads((tmp_path / "kits" / kit / f"{file}.json").read_text())
        for name, kit, file in (
            ("root", "localhost", "fed_server"),
            ("site-1", "site-1", "fed_client"),
            ("east", "east", "fed_combiner"),
        )
    }
    assert config["root"]["servers"][0]["assign_clients"] is True
    assert config["root"]["servers"][0]["pinned"] == {"site-1": "west"}
    assert config["site-1"]["client"]["assigned"] is True
    assert config["site-1"]["servers"][0]["service"]["target"] == "localhost:8002"
    assert config["east"]["combiner"]["service"]["target"] == "localhost:9002"


def test_a_server_that_assigns_has_combiners_and_they_are_directly_below_it(tmp_path: Path) -> None:
    value = yaml.safe_load(project({"root": 1, "east": 2, "west": 3}))
    path = tmp_path / "project.yml"
    value["combiners"][1]["combiner"] = "east"
    path.write_text(yaml.safe_dump(value))
    with pytest.raises(UsageError) as refused:
        load_project(path)
    assert "directly below it" in str(refused.value)
    value["combiners"] = []
    value["fl_clients"][0].pop("combiner")
    path.write_text(yaml.safe_dump(value))
    with pytest.raises(UsageError) as refused:
        load_project(path)
    assert "no combiner to assign clients to" in str(refused.value)
