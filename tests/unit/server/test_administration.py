# SPDX-License-Identifier: Apache-2.0
"""An administrator's decisions in a real federation: sessions, journal, spool and a restart."""

from __future__ import annotations

import asyncio
import json
import shutil
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mmar_runner.errors import JournalError, OrderError, RefusedError
from mmar_runner.interfaces.client_trainer import ClientTrainer, TrainResult, TrainTask
from mmar_runner.interfaces.observer import Topic
from mmar_runner.server import run
from mmar_runner.server.parts import RunParts
from mmar_runner.server.rounds.minimum import MinimumBounds
from mmar_runner.storage.journal_reading import read_blob, read_events
from mmar_runner.testing.federation import Federation

ECHO = Path(__file__).parents[3] / "mmars" / "echo"
#: Megabytes of a model whose updates travel in the journal, and of one whose are spooled.
SIZES = {"inline": 0.01, "spooled": 1}


class Copier(ClientTrainer):
    """Gives the model back, once it may."""

    def __init__(self) -> None:
        self.may = threading.Event()
        self.tasks = threading.Semaphore(0)

    def train(self, task: TrainTask) -> TrainResult:
        self.tasks.release()
        assert self.may.wait(30)
        shutil.copyfile(task.model, task.update)
        return TrainResult(1.0)


class Scene:
    """A federation whose server can be administered, and its trainers."""

    def __init__(self, workspace: Path, patch: pytest.MonkeyPatch, **variables: Any) -> None:
        self.workspace = workspace
        self.trainers = {name: Copier() for name in ("site-1", "site-2", "site-3")}
        self.parts: Any = None
        self.loop: Any = None
        assemble = run.assemble

        def assembled(*args: Any, **named: Any) -> RunParts:
            self.loop, self.parts = asyncio.get_running_loop(), assemble(*args, **named)
            return self.parts  # type: ignore[no-any-return]

        patch.setattr(run, "assemble", assembled)
        self.federation = Federation(
            ECHO,
            workspace=workspace,
            clients=2,
            variables={"NUM_ROUNDS": 1, "MODEL_MB": 0.01, **variables},
            trainers=self.trainers,
        )

    def remove(self, name: str, reason: str = "its data are not what was agreed") -> str:
        return self.wait(self.parts.members.remove(name, reason))

    def wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def decide(self, what: str, *args: Any) -> None:
        async def decided() -> None:
            getattr(self.parts.coordinator, what)(*args)

        self.wait(decided())

    def journal(self, kind: str) -> list[Any]:
        events = read_events(self.workspace / "run_1" / "journal.db")
        return [event for event in events if event.kind == kind]

    async def asked(self, whom: dict[str, int]) -> None:
        assignments = self.parts.coordinator._assignments
        while assignments.current.invited != whom:
            await assignments.changed()

    def status(self) -> Any:
        async def facts() -> Any:
            return self.parts.board.facts()

        return self.wait(facts())

    def accepted(self, name: str) -> None:
        self.federation.server.wait_for(Topic.UPDATE_ACCEPTED, client=name)

    def release(self, *names: str) -> None:
        for name in names or self.trainers:
            self.trainers[name].may.set()


@contextmanager
def scene(workspace: Path, patch: pytest.MonkeyPatch, **variables: Any) -> Iterator[Scene]:
    made = Scene(workspace, patch, **variables)
    with made.federation:
        try:
            yield made
        finally:
            made.release()


@pytest.mark.parametrize("size", SIZES)
def test_a_removed_clients_data_leave_the_round_and_its_session_stays_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: str
) -> None:
    with scene(tmp_path, monkeypatch, MODEL_MB=SIZES[size]) as at:
        at.release("site-2")
        at.federation.serve()
        at.federation.join("site-1")
        session = at.federation.join("site-2")
        at.federation.sessions["site-2"].wait_for(Topic.SUBMITTED)
        (accepted,) = at.journal("update_accepted")
        spooled = tmp_path / "run_1" / "updates" / "round_0000" / "site-2.safetensors"
        assert spooled.exists() == (size == "spooled")
        assert at.remove("site-2") == "site-2 is removed; its update leaves round 0"
        refused = session.exception(30)
        assert isinstance(refused, RefusedError)
        assert refused.reason == "CLIENT_REMOVED"
        assert "its data are not what was agreed" in refused.message
        at.wait(at.parts.coordinator._ledger.until_cleared("site-2"))
        assert not spooled.exists()
        if size == "inline":
            with pytest.raises(JournalError):
                read_blob(tmp_path / "run_1" / "journal.db", accepted.seq)

        assert at.federation.stop().status == "stopped"
        at.federation.serve()
        again = at.federation.join("site-2").exception(30)
        assert isinstance(again, RefusedError)
        assert again.reason == "CLIENT_REMOVED"
        assert at.status()["missing"][0]["name"] == "site-1"

        # An administrator starts it anew: another session, another key.
        (tmp_path / "clients" / "site-2" / "session.key").unlink()
        at.federation.join("site-2")
        at.release()
        assert at.federation.wait().status == "finished"
    (entry,) = json.loads((tmp_path / "run_1" / "summary.json").read_bytes())["rounds"]
    assert sorted(one["client"] for one in entry["contributions"]) == ["site-1", "site-2"]
    why = "REMOVED: its data are not what was agreed"
    assert entry["rejected"] == [{"client": "site-2", "reason": why}]
    (removed,) = at.journal("client_removed")
    assert removed.data["reason"] == "its data are not what was agreed"


def test_an_update_under_way_is_refused_and_the_removal_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with scene(tmp_path, monkeypatch) as at:
        at.federation.serve()
        at.federation.join("site-1")
        session = at.federation.join("site-2")
        assert at.trainers["site-2"].tasks.acquire(timeout=30)
        assert at.remove("site-2", "") == "site-2 is removed; nothing of it counts in round 0"
        at.release("site-2")
        assert isinstance(session.exception(30), RefusedError)
        told = at.federation.server.wait_for(Topic.CLIENT_REMOVED, client="site-2")
        assert told.data["round"] == 0
        assert at.status()["waiting_for"].startswith("round 0: 0 of 2 updates; missing site-1")
        with pytest.raises(OrderError, match="no client 'site-2' is in this run") as error:
            at.remove("site-2")
        assert (error.value.reason, error.value.hint) == ("CLIENT_UNKNOWN", "there are: site-1")
        assert at.journal("update_accepted") == []


def test_another_minimum_closes_the_open_round_and_outlives_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with scene(tmp_path, monkeypatch, NUM_ROUNDS=2) as at:
        at.federation.serve()
        at.federation.join("site-1")
        at.federation.join("site-2")
        assert at.trainers["site-1"].tasks.acquire(timeout=30)
        at.decide("set_min_clients", 3)
        at.release()
        at.accepted("site-1")
        at.accepted("site-2")
        assert at.federation.stop().status == "stopped"
        at.federation.serve()
        assert at.status()["min_clients"] == 3
        assert at.status()["round"] == 0
        at.decide("set_min_clients", 1)
        assert at.federation.wait().status == "finished"
    assert [one.data["number"] for one in at.journal("min_clients_set")] == [3, 1]
    told = at.federation.server.all(Topic.MIN_CLIENTS)
    assert told[0].data == {"number": 3, "before": 2, "round": 0}


def test_a_minimum_that_no_round_could_reach_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with scene(tmp_path, monkeypatch) as at:
        at.federation.serve()
        for number in (0, 101):
            with pytest.raises(OrderError) as error:
                at.decide("set_min_clients", number)
            assert error.value.reason == "MIN_CLIENTS"
        at.decide("set_min_clients", 2)  # as it is
    assert at.journal("min_clients_set") == []


def test_a_task_is_given_again_to_who_is_there_and_is_not_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with scene(tmp_path, monkeypatch) as at:
        at.federation.serve()
        for name, reason in (("site-1", "NO_ROUND"), ("nobody", "NO_ROUND")):
            with pytest.raises(OrderError) as error:
                at.decide("give_again", name)
            assert error.value.reason == reason
        at.release("site-2")
        at.federation.join("site-1")
        at.federation.join("site-2")
        at.accepted("site-2")
        assert at.trainers["site-1"].tasks.acquire(timeout=30)
        for name, reason in (("site-2", "CLIENT_DONE"), ("nobody", "CLIENT_UNKNOWN")):
            with pytest.raises(OrderError) as error:
                at.decide("give_again", name)
            assert error.value.reason == reason
        at.decide("give_again", "site-1")
        at.wait(at.asked({"site-1": 2}))
        at.release("site-1")
        assert at.federation.wait().status == "finished"
    (given,) = at.journal("task_given_again")
    assert given.data == {"client": "site-1", "round": 0}


@pytest.mark.parametrize(
    ("bounds", "number", "near", "said"),
    [
        (MinimumBounds(min_updates=3, aggregator="Krum"), 2, 3, "Krum needs 3 or more"),
        (MinimumBounds(), 0, 1, "the aggregator needs 1 or more"),
        (MinimumBounds(sites=4), 5, 4, "only 4 sites may take part"),
        (MinimumBounds(max_num_clients=6), 7, 6, "max_num_clients is 6"),
        (MinimumBounds(clients_per_round=2), 3, 2, "clients_per_round is 2"),
    ],
)
def test_a_minimum_out_of_bounds_says_which(
    bounds: MinimumBounds, number: int, near: int, said: str
) -> None:
    with pytest.raises(OrderError, match=said) as error:
        bounds.check(number)
    assert str(near) in (error.value.hint or "")
    bounds.check(near)
