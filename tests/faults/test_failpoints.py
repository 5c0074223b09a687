# SPDX-License-Identifier: Apache-2.0
"""The failpoints are where the table says, and only the launcher of the tests has them."""

from __future__ import annotations

import importlib
import os
from pathlib import Path

import pytest

import mmar_runner
from mmar_runner.storage.journal import JournalEvent
from mmar_runner.testing.processes import RunningClient, RunningServer
from tests.faults import moments
from tests.faults.arena import TWO, VARIABLES, Arena, judged
from tests.faults.failpoints import Deed, Failpoint, Passings, install
from tests.faults.oracle import Story
from tests.faults.watched import Plan

pytestmark = pytest.mark.slow


def test_every_failpoint_is_passed_in_an_ordinary_run(tmp_path: Path) -> None:
    with Arena(tmp_path).scene(kind="carry") as scene:
        scene.serve()
        for name in TWO:
            scene.join(name)
        scene.finish()
        judged(scene)
        passed = scene.server.passed() | scene.client("site-1").passed()
    assert passed == set(moments.ALL)


def test_every_table_entry_names_something_that_is_there() -> None:
    for point in moments.ALL.values():
        module, _, path = point.where.partition(":")
        holder = importlib.import_module(module)
        for attribute in path.split("."):
            holder = getattr(holder, attribute)
        assert point.when in {"before", "after"}
        assert callable(holder), point.name
    assert len(moments.ALL) == len(moments.SERVER) + len(moments.CLIENT), "names are unique"


def test_what_ships_has_no_such_switch(tmp_path: Path) -> None:
    """Told to be killed everywhere, the ordinary command line runs to its end."""
    log = tmp_path / "passed"
    deeds = tuple(Deed(name, "kill") for name in moments.ALL)
    told = Plan(deeds).environment(log)
    variables = {**VARIABLES, "NUM_ROUNDS": 1}
    mmar = Arena(tmp_path).mmar()
    with RunningServer(mmar, tmp_path / "ws", variables=variables, environment=told) as server:
        address, clients = server.address(), tmp_path / "clients"
        first, second = (
            RunningClient(mmar, address, name, clients, variables=variables, environment=told)
            for name in TWO
        )
        with first, second:
            assert [server.wait(), first.wait(), second.wait()] == [0, 0, 0]
    assert not log.exists()


def test_the_package_does_not_know_of_failpoints() -> None:
    package = Path(mmar_runner.__file__).parent
    names = {*moments.ALL} | {"MMAR_FAULT", "failpoint"}
    for path in package.rglob("*.py"):
        text = path.read_text()
        assert not [name for name in names if name in text], path


def test_a_deed_is_done_at_its_passing_and_no_other(tmp_path: Path) -> None:
    log = tmp_path / "log"
    passings = Passings([Deed("a.b", "ENOSPC", 2, times=2)], log)
    outcomes = []
    for _ in range(4):
        try:
            passings.passed("a.b")
            outcomes.append("passed")
        except OSError as error:
            outcomes.append(os.strerror(error.errno or 0))
    assert outcomes == ["passed", "No space left on device", "No space left on device", "passed"]
    assert log.read_text().splitlines()[1] == "a.b 2 ENOSPC"


def test_a_table_that_is_out_of_date_is_noticed(tmp_path: Path) -> None:
    point = Failpoint("server.gone", "mmar_runner.server.records.models:ModelStore.gone", "before")
    with pytest.raises(AttributeError):
        install([point], Passings([], tmp_path / "log"))


@pytest.mark.parametrize("twice", [True, False])
def test_the_oracle_sees_an_update_that_is_counted_twice(twice: bool) -> None:
    story = Story()
    story.see(JournalEvent(1, 0.0, "run_started", {"round": 0}))
    facts = {"round": 0, "client": "site-1", "sha256": "x"}
    for number in range(2 if twice else 1):
        story.see(JournalEvent(2 + number, 0.0, "update_accepted", facts))
    assert bool(story.wrong) == twice


def test_the_oracle_sees_a_sum_without_an_update_that_was_accepted(tmp_path: Path) -> None:
    story = Story()
    story.see(JournalEvent(1, 0.0, "run_started", {"round": 0}))
    story.see(JournalEvent(2, 0.0, "update_accepted", {"round": 0, "client": "a", "sha256": "x"}))
    story.see(JournalEvent(3, 0.0, "round_closed", {"round": 0, "summary": {"contributions": []}}))
    assert story.wrong == ["round 0: [] are summed, ['a'] were accepted"]
