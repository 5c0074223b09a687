# SPDX-License-Identifier: Apache-2.0
"""What the events of a journal add up to for a page; nothing in them makes it fail."""

from __future__ import annotations

import pytest

from mmar_runner.reporting.folding import Folding
from mmar_runner.reporting.reading import read_history
from mmar_runner.server.records.record import Kind
from mmar_runner.storage.journal_reading import JournalEvent
from tests.unit.reporting.written_runs import long_run, troubled_run, written

SITES = ("site-1", "site-2")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "run_1"


def history_of(folder):
    notes: list[str] = []
    history = read_history(folder, notes)
    assert not notes
    return history


def test_a_finished_run(folder):
    with written(folder) as run:
        run.start()
        run.register(*SITES)
        for number in range(3):
            run.round(number, SITES)
        run.end()
    history = history_of(folder)
    assert (history.status, history.wall_seconds, history.seed) == ("finished", 12.5, 7)
    assert [one.number for one in history.rounds] == [0, 1, 2]
    assert [(one.updates, one.participants, one.samples, one.bytes) for one in history.rounds] == [
        (2, 2, 20.0, 4096.0)
    ] * 3
    assert list(history.sites["site-1"].metrics["val_auc"]) == [(0, 0.8), (1, 0.8), (2, 0.8)]
    assert (history.best.round, history.best.scored_in) == (1, 2)
    assert history.open is None


def test_a_round_under_way_counts_what_was_accepted(folder):
    with written(folder) as run:
        run.start()
        run.round(0, SITES)
        run.open(1, SITES)
        run.update(1, "site-1")
    history = history_of(folder)
    assert history.status == "running"
    assert history.ended is None
    assert (history.open.number, history.open.updates, history.open.participants) == (1, 1, 2)
    assert list(history.sites["site-1"].weights) == [(0, 10.0)]


def test_a_lost_model_takes_its_round_with_it(folder):
    troubled_run(folder)
    history = history_of(folder)
    assert [one.number for one in history.rounds] == [0, 1]
    weights = {name: list(site.weights) for name, site in history.sites.items()}
    assert weights == {
        "Charité": [(0, 10.0), (1, 30.0)],
        "site-2": [(0, 10.0), (1, 10.0)],
        "site-10": [(0, 10.0)],
    }
    # What was kept counts with what it said before.
    assert list(history.sites["site-2"].metrics["val_auc"]) == [(0, 0.8), (1, 0.8)]
    assert history.reasons == {("NON_FINITE", False): 1, ("TASK_FAILED", True): 1}
    assert [(r.client, r.task) for r in history.refusals] == [("site-10", False), ("Charité", True)]
    (broken,) = history.broken.values()
    assert (broken.times, broken.first, broken.last, broken.message) == (2, 1, 2, "still none")
    assert [word for _, word in history.again] == ["resumed", "retried"]
    assert len(history.lost) == 1


def test_what_an_aggregator_did_not_choose_has_no_weight_in_the_model(folder):
    with written(folder) as run:
        run.start()
        run.open(0, SITES)
        updates = [run.update(0, name) for name in SITES]
        run.close_round(0, updates, aggregation={"chosen": ["site-2"]})
    sites = history_of(folder).sites
    assert {name: list(site.weights) for name, site in sites.items()} == {
        "site-1": [(0, 0.0)],
        "site-2": [(0, 10.0)],
    }
    assert list(sites["site-1"].samples) == [(0, 10.0)]


def test_a_withdrawn_update_does_not_count(folder):
    with written(folder) as run:
        run.start()
        run.open(0, SITES)
        run.update(0, "site-1")
        why = {"reason": "NON_FINITE", "message": "NaN"}
        run.add("update_refused", client="site-1", round=0, **why)
    assert history_of(folder).open.updates == 0


def test_what_administrators_changed_in_a_run_is_understood(folder):
    with written(folder) as run:
        run.start()
        run.open(0, SITES)
        run.update(0, "site-1")
        run.add("min_clients_set", number=1, round=0)
        run.add("task_given_again", client="site-2", round=0)
        gone = {"key_sha256": "0" * 64, "reason": "lead removed it"}
        run.add("client_removed", client="site-1", round=0, **gone)
        run.add("client_removed", client="site-2", round=None, **gone)
    history = history_of(folder)
    assert history.odd == 0
    assert history.open.updates == 0
    assert history.reasons == {("REMOVED", False): 1}
    assert [(r.client, r.message) for r in history.refusals] == [("site-1", "lead removed it")]


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_of_event_is_known(kind):
    folding = Folding()
    assert (kind in folding._apply) != (kind in folding._silent)


def test_a_best_model_that_is_lost_gives_way_to_the_one_before(folder):
    with written(folder) as run:
        run.start()
        for number, score in enumerate((0.5, 0.6)):
            run.add("best_model", round=number, score=score)
        run.add("best_model_lost", instead=0)
    assert history_of(folder).best.round == 0


def test_of_very_many_updates_some_are_passed_over_and_all_are_counted(folder, monkeypatch):
    monkeypatch.setattr("mmar_runner.reporting.folding._MOST_EVENTS", 20)
    long_run(folder, rounds=9, sites=6)
    history = history_of(folder)
    assert history.every == 4
    assert [one.updates for one in history.rounds] == [6] * 9
    site = history.sites["site-3"]
    assert len(site.weights) == 9
    assert [at for at, _ in site.metrics["train_loss"]] == [0, 4, 8]


JUNK = (None, True, -1, 10**30, 1.5, "x", [], {}, [None], {"a": None}, float("nan"))
KEYS = (
    *("round", "client", "metrics", "validation", "summary", "participants", "kept", "best"),
    *("reason", "message", "identity", "status", "wall_seconds", "component", "event", "score"),
)


@pytest.mark.parametrize("kind", [*map(str, Kind), "of_a_later_version"])
def test_an_event_that_is_odd_is_left_out_and_counted(kind):
    for junk in JUNK:
        folding = Folding()
        data = dict.fromkeys(KEYS, junk)
        folding.add([JournalEvent(1, 1.0, kind, {}), JournalEvent(2, 2.0, kind, data)])
        assert folding.history.events == 2
        assert folding.history.odd <= 2
