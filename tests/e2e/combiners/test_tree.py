# SPDX-License-Identifier: Apache-2.0
"""A tree of combiners makes the models of the flat federation."""

from __future__ import annotations

import json
from contextlib import suppress
from hashlib import sha256

import pytest

from mmar_runner.cli.main import main
from mmar_runner.interfaces.observer import Topic
from mmar_runner.testing.processes import free_port
from tests.e2e.combiners.conftest import SAMPLES, Tree, models

#: Seven processes are started for one test.
pytestmark = pytest.mark.timeout(240)
_SECONDS = 100.0


def test_two_combiners_make_the_models_of_the_flat_federation(
    tree: Tree, flat_models: list[str]
) -> None:
    root = tree.server(2)
    first, second = (tree.combiner(name, root, 2) for name in ("east", "west"))
    clients = [
        tree.client(name, place)
        for name, place in zip(SAMPLES, (first, first, second, second), strict=True)
    ]

    assert root.wait(timeout=_SECONDS) == 0, root.stderr
    assert [one.wait() for one in (first, second, *clients)] == [0] * 6
    assert models(root) == flat_models
    final = (root.workspace / "run_1" / "models" / "final.safetensors").read_bytes()
    assert sha256(final).hexdigest() == flat_models[-1]


def test_the_status_of_a_combiner_says_that_it_waits_for_a_model(
    tree: Tree, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tree.server(2)
    east = tree.combiner("east", root, 1)
    east.wait_for(Topic.WAITING)
    with suppress(SystemExit):
        main(["status", str(east.workspace)])
    said = capsys.readouterr().out
    assert said.startswith(f"process {east.process.pid} has run 1, which is at round 0, and does")
    assert "a combiner that waits for a model from its parent" in said
    east.kill()
    east.wait()
    with suppress(SystemExit):
        main(["status", str(east.workspace), "--json"])
    told = json.loads(capsys.readouterr().out)
    assert (told["holder"], told["resumable"]) == (None, True)


def test_three_levels_make_them_too_and_the_root_names_every_site(
    tree: Tree, flat_models: list[str]
) -> None:
    root = tree.server(2)
    middle = tree.combiner("middle", root, 2)
    clients = [tree.client("site-1", root)]  # with it there is a model, and middle listens
    low = tree.combiner("low", middle, 2)
    places = {"site-2": middle, "site-3": low, "site-4": low}
    clients += [tree.client(name, place) for name, place in places.items()]

    assert root.wait(timeout=_SECONDS) == 0, root.stderr
    assert [one.wait() for one in (middle, low, *clients)] == [0] * 6
    assert models(root) == flat_models
    shares = root.summary()["rounds"][-1]["contributions"]
    assert {one["client"]: one["weight"] for one in shares} == {
        "middle/low/site-3": SAMPLES["site-3"],
        "middle/low/site-4": SAMPLES["site-4"],
        "middle/site-2": SAMPLES["site-2"],
        "site-1": SAMPLES["site-1"],
    }
    with suppress(SystemExit):
        main(["report", str(root.workspace / "run_1")])
    page = (root.workspace / "run_1" / "report.html").read_text()
    assert "middle/low/site-3" in page


def test_whoever_is_killed_comes_back_and_nothing_is_lost(
    tree: Tree, flat_models: list[str]
) -> None:
    """A combiner with updates that count, one whose sum is with its parent, and the root.

    One that is asked to stop says that it goes on, and does.
    """
    here, there, yonder = (f"127.0.0.1:{free_port()}" for _ in range(3))
    root = tree.server(2, listen=there)
    east = tree.combiner("east", root, 2, listen=here)
    west = tree.combiner("west", root, 2, listen=yonder)
    places = {"site-1": (east, 0), "site-2": (east, 1), "site-3": (west, 3), "site-4": (west, 3)}
    clients = [tree.client(name, at, SECONDS=s) for name, (at, s) in places.items()]

    east.wait_for(Topic.UPDATE_ACCEPTED, round=0)
    east.kill()
    east = tree.combiner("east", root, 2, listen=here)
    east.wait_for(Topic.SUBMITTED, round=1)
    east.kill()  # west is still at work
    east = tree.combiner("east", root, 2, listen=here)
    west.terminate()
    assert west.wait() == 3, west.stderr
    west = tree.combiner("west", root, 2, listen=yonder)
    root.wait_for(Topic.UPDATE_ACCEPTED, round=2)
    root.kill()
    root = tree.server(2, listen=there)

    assert root.wait(timeout=_SECONDS) == 0, root.stderr
    assert [one.wait() for one in (east, west, *clients)] == [0] * 6
    assert models(root) == flat_models
    (run,) = east.workspace.glob("run_*")
    journal = (run / "events.jsonl").read_text().splitlines()
    made = [event for event in map(json.loads, journal) if event["kind"] == "partial_made"]
    assert [event["data"]["round"] for event in made] == [0, 1, 2]


def test_a_combiner_that_was_away_goes_on_with_the_newest_round(tree: Tree) -> None:
    """The root closes two rounds without it; what its site does for the first counts nowhere."""
    yonder = f"127.0.0.1:{free_port()}"
    root = tree.server(1)
    east, west = tree.combiner("east", root, 1), tree.combiner("west", root, 1, listen=yonder)
    clients = [tree.client("site-1", east), tree.client("site-3", west, SECONDS=3)]
    west.wait_for(Topic.ROUND_STARTED, round=0)
    west.kill()
    root.wait_for(Topic.ROUND_STARTED, round=2)
    west = tree.combiner("west", root, 1, listen=yonder)

    assert root.wait(timeout=_SECONDS) == 0, root.stderr
    assert [one.wait() for one in (east, west, *clients)] == [0] * 4
    counted = [
        [share["client"] for share in entry["contributions"]] for entry in root.summary()["rounds"]
    ]
    assert counted == [["east/site-1"], ["east/site-1"], ["east/site-1", "west/site-3"]]
    (passed,) = west.summary()["rounds"]  # the last one's model is the root's alone
    assert passed["round"] == 0
    assert "passed" in passed["aggregation"]


def test_a_run_that_fails_below_is_a_failed_task_above(tree: Tree) -> None:
    root = tree.server(1)
    east = tree.combiner("east", root, 1)
    tree.client("site-1", east, FAIL_IN_ROUND=0, FAIL_TIMES=9)

    assert root.wait(timeout=_SECONDS) == 1, root.stderr
    assert "east: BELOW_FAILED: the run below has failed" in root.summary()["reason"]
    assert "site-1" in root.summary()["reason"]
    assert east.wait() == 1, east.stderr
