# SPDX-License-Identifier: Apache-2.0
"""Clients that ask a controller which combiner they work below, and are moved if it dies."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from mmar_runner.cli.main import main
from mmar_runner.errors import UsageError
from mmar_runner.interfaces.observer import Topic
from mmar_runner.testing.processes import RunningClient, free_port
from tests.e2e.combiners.conftest import ECHO, SAMPLES, Tree, models
from tests.faults.watched import until

#: Seven processes are started for one test.
pytestmark = pytest.mark.timeout(240)
_SECONDS = 100.0


def test_clients_are_spread_and_make_the_models_of_the_flat_federation(
    tree: Tree, flat_models: list[str]
) -> None:
    root = tree.server(len(SAMPLES), "--assign", "--pin", "site-4=west")
    combiners = [tree.combiner(name, root, 1) for name in ("east", "west")]
    for combiner in combiners:
        combiner.wait_for(Topic.REGISTERED)
    clients = [tree.client(name, root, asks=True) for name in SAMPLES]

    assert root.wait(timeout=_SECONDS) == 0, root.stderr
    assert [one.wait() for one in (*combiners, *clients)] == [0] * 6
    assert models(root) == flat_models
    assigned = {one["client"]: one["combiner"] for one in root.observations(Topic.ASSIGNED)}
    assert assigned["site-4"] == "west"
    assert sorted(assigned.values()) == ["east", "east", "west", "west"]
    shares = root.summary()["rounds"][-1]["contributions"]
    assert {one["client"] for one in shares} == {f"{at}/{name}" for name, at in assigned.items()}


def test_a_client_that_cannot_work_says_so_and_does_not_look_for_another_combiner(
    tree: Tree,
) -> None:
    root = tree.server(1, "--assign")
    tree.combiner("east", root, 1).wait_for(Topic.REGISTERED)
    client = tree.client("site-1", root, "--processes", "9999", asks=True)
    assert client.wait(timeout=_SECONDS) == UsageError.exit_code
    assert "9999 processes on a machine with" in client.stderr
    assert [one["combiner"] for one in client.observations(Topic.ASSIGNED)] == ["east"]


def test_the_clients_of_a_combiner_that_was_killed_work_below_another(
    tree: Tree, flat_models: list[str]
) -> None:
    """The other has sent its sum of the round by then, and sends one that holds all of them."""
    root = tree.server(len(SAMPLES), "--assign")
    east, west = (tree.combiner(name, root, 1) for name in ("east", "west"))
    for combiner in (east, west):
        combiner.wait_for(Topic.REGISTERED)
    places = {"site-1": "east", "site-2": "east", "site-3": "west", "site-4": "west"}
    clients = [
        tree.client(name, root, "--combiner", at, asks=True, SECONDS=3 if at == "east" else 0)
        for name, at in places.items()
    ]
    west.wait_for(Topic.SUBMITTED, round=0)
    east.kill()

    assert root.wait(timeout=_SECONDS) == 0, root.stderr
    assert [one.wait() for one in (west, *clients)] == [0] * 5
    assert models(root) == flat_models
    moved = [one for one in root.observations(Topic.ASSIGNED) if one["before"] == "east"]
    assert {one["client"] for one in moved} == {"site-1", "site-2"}
    for entry in root.summary()["rounds"]:
        counted = {share["client"] for share in entry["contributions"]}
        assert counted == {f"west/{name}" for name in SAMPLES}


def test_a_controller_that_is_gone_is_waited_for_and_remembers_whom_it_assigned(
    tree: Tree, flat_models: list[str]
) -> None:
    """It is not there when the first client asks, and is killed once it has assigned three."""
    there = f"127.0.0.1:{free_port()}"
    early = tree.stack.enter_context(asking("site-1", there, tree))
    early.wait_for(Topic.UNREACHABLE)
    root = tree.server(len(SAMPLES), "--assign", listen=there)
    combiners = [tree.combiner(name, root, 1) for name in ("east", "west")]
    for combiner in combiners:
        combiner.wait_for(Topic.REGISTERED)
    clients = [early, *(tree.client(name, root, asks=True) for name in ("site-2", "site-3"))]
    for client in clients:
        client.wait_for(Topic.ASSIGNED)
    before = {one["client"]: one["combiner"] for one in root.observations(Topic.ASSIGNED)}
    root.kill()
    root = tree.server(len(SAMPLES), "--assign", listen=there)
    clients.append(tree.client("site-4", root, asks=True))

    assert root.wait(timeout=_SECONDS) == 0, root.stderr
    assert [one.wait() for one in (*combiners, *clients)] == [0] * 6
    assert models(root) == flat_models
    shares = root.summary()["rounds"][-1]["contributions"]
    after = dict(reversed(share["client"].split("/")) for share in shares)
    assert {name: after[name] for name in before} == before
    assert [one["client"] for one in root.observations(Topic.ASSIGNED)] == ["site-4"]


def asking(name: str, controller: str, tree: Tree) -> RunningClient:
    """Return a client that asks a controller which is not there yet."""
    variables = {**tree.variables, "SITE_INDEX": name[-1], "NUM_SAMPLES": SAMPLES[name]}
    return RunningClient(
        *(ECHO, controller, name, tree.folder / "sites"), variables=variables, asks=True
    )


def test_what_sites_do_is_seen_at_the_root(tree: Tree, capsys: pytest.CaptureFixture[str]) -> None:
    tree.mmar = Path(shutil.copytree(ECHO, tree.folder / "echo"))
    config = tree.mmar / "config" / "config_fed_server.json"
    told = config.read_text().replace('"heart_beat_timeout": 600', '"heart_beat_timeout": 3')
    config.write_text(told)
    root = tree.server(1)
    east = tree.combiner("east", root, 1)
    tree.client("site-1", east, SECONDS=60)

    status = root.workspace / "run_1" / "status.json"
    found = until(lambda: below(status), "the root says what the site below east does")
    assert found == [{"name": "east/site-1", "state": "training", "round": 0}]
    with suppress(SystemExit):
        main(["status", str(root.workspace)])
    assert "1 site below: 1 training" in capsys.readouterr().out


def below(status: Path) -> list[dict[str, Any]]:
    """Return what is said of the sites below combiners, once one trains."""
    clients = json.loads(status.read_text())["clients"] if status.exists() else []
    sites = [site for client in clients for site in client.get("below", ())]
    return [site for site in sites if site["state"] == "training"]
