# SPDX-License-Identifier: Apache-2.0
"""What becomes of a closed round's files."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock

import pytest

from mmar_runner.errors import JournalError, RunFailedError, StorageError
from mmar_runner.interfaces.aggregator import TensorwiseAggregator
from mmar_runner.server.records.model_file import ModelFile
from mmar_runner.server.records.record import CountedUpdate, Kind, OnRecord
from mmar_runner.server.records.workspace import RunFolder
from mmar_runner.server.rounds.best import Scored
from mmar_runner.server.rounds.closing import Best, ClosedRound, RoundCloser
from mmar_runner.server.rounds.open_round import OpenRound
from mmar_runner.server.rounds.round_aggregation import RoundAggregation, Withdrawn
from mmar_runner.server.telling.space import DiskWait
from mmar_runner.storage.journal import Journal, read_events
from mmar_runner.storage.tensor_files import TensorWriter
from mmar_runner.testing.contracts.combining import context
from mmar_runner.testing.federation import Federation
from tests import updates

ECHO = Path(__file__).parents[3] / "mmars" / "echo"


def model(number: int) -> ModelFile:
    return ModelFile(Path(f"round_{number}"), f"sha-{number}", 1, None)


def closer_of(parts: dict[str, Any]) -> RoundCloser:
    """Return a closer of which only some parts are needed."""
    rest = {f.name: None for f in fields(RoundCloser) if f.name != "forgetting"}
    parts = {"exchange": SimpleNamespace(forget=AsyncMock()), **parts}
    return RoundCloser(**{**rest, **parts})


async def test_rounds_on_record_at_once_are_settled_in_their_order() -> None:
    """Else the best model's name were an older one's, or its file deleted before it had one."""
    done: list[str] = []
    silent = SimpleNamespace(emit=lambda *_, **__: None, observe=lambda _: None)
    parts: dict[str, Any] = {
        "models": SimpleNamespace(
            publish=lambda number, name, **_: done.append(f"{name} {number - 1}"),
            discard_older=lambda number: done.append(f"delete {number - 1}"),
        ),
        "spool": SimpleNamespace(delete_round=lambda _: None),
        "record": SimpleNamespace(journal=SimpleNamespace(drop_blobs=lambda _: None)),
        "summary": SimpleNamespace(set_best=lambda _: None),
        "dispatcher": silent,
        "observer": silent,
        "outliers": SimpleNamespace(look=AsyncMock()),
        "disk": DiskWait(lambda _: None),
        "max_staleness": 0,
    }
    closer = closer_of(parts)
    first, second = (asyncio.get_running_loop().create_future() for _ in range(2))
    with ThreadPoolExecutor(1) as work:
        settling = [
            asyncio.create_task(
                closer.forget(
                    OpenRound(number, model(number), 0.0),
                    ClosedRound(
                        model(number + 1),
                        [],
                        recorded,
                        Best(Scored(number - 1, 0.5), {}),
                        number + 1,
                    ),
                    work,
                )
            )
            for number, recorded in ((1, first), (2, second))
        ]
        second.set_result(9)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        first.set_result(8)
        await asyncio.gather(*settling)
    assert done == ["best 0", "delete 1", "best 1", "delete 2"]


ONE = [CountedUpdate(updates.accepted("site-1"), OnRecord(1))]


class Leaving(TensorwiseAggregator):
    """An aggregator that leaves."""

    def weigh(self, contributions: list[Any]) -> list[float]:
        raise SystemExit(0)

    def combine(self, name: str, tensors: Any, weights: Any) -> Any:
        raise NotImplementedError

    def resume(self, facts: Any) -> None:
        raise SystemExit(len(facts))


def test_an_aggregator_that_exits_fails_the_run_and_ends_no_server(tmp_path: Path) -> None:
    """With the loop's thread it would have ended the process, as if the run had finished."""
    base = tmp_path / "base"
    with TensorWriter(base, []) as writer:
        writer.commit()
    nowhere: Any = SimpleNamespace(open=print)
    models: Any = SimpleNamespace(spare=lambda: None)
    contexts: Any = SimpleNamespace(of=context)
    aggregation = RoundAggregation(
        aggregator=Leaving(),
        label="the aggregator Leaving (a:1)",
        folder=RunFolder(tmp_path, 1),
        updates=nowhere,
        contexts=contexts,
        models=models,
        excluded=(),
        durable=False,
    )
    current = OpenRound(0, ModelFile(base, "sha-0", 1, None), 0.0)
    combination = aggregation.combination(current, ONE)
    assert not isinstance(combination, Withdrawn)
    with pytest.raises(
        RunFailedError, match=r"the aggregator Leaving \(a:1\) failed: SystemExit: 0"
    ) as caught:
        aggregation.combine(current, combination)
    log = tmp_path / "logs" / "aggregator.log"
    assert caught.value.hint == f"the traceback is in {log}"
    assert "raise SystemExit(0)" in log.read_text()
    with pytest.raises(RunFailedError, match=r"Leaving \(a:1\) failed: SystemExit: 2"):
        aggregation.resume({"a": 1, "b": 2})
    aggregation.resume({})  # nothing is on record: it is not asked


def test_a_passing_error_of_the_disk_stops_the_run_and_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that had failed would be followed by the next, and its clients sent away."""
    refused: list[int] = []
    combine = RoundAggregation.combine

    def refuse_once(of: RoundAggregation, current: OpenRound, *more: Any) -> Any:
        if current.number == 1 and not refused:
            refused.append(1)
            raise StorageError("round_0002.safetensors: Input/output error")
        return combine(of, current, *more)

    monkeypatch.setattr(RoundAggregation, "combine", refuse_once)
    variables = {"NUM_ROUNDS": 3, "MODEL_MB": 0.01, "MIN_NUM_CLIENTS": 1}
    with Federation(ECHO, workspace=tmp_path, clients=1, variables=variables) as federation:
        federation.serve()
        federation.join("site-1")
        outcome = federation.wait()
        assert outcome.status == "stopped"
        assert "Input/output error" in outcome.reason
        federation.serve()
        outcome = federation.wait()
        assert outcome.status == "finished"
        assert outcome.run_folder.name == "run_1"


def test_a_round_whose_end_is_not_on_record_stops_the_run_and_is_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is decided after it would be counted for the round that is still open on record."""
    refused: list[str] = []
    store = Journal._store

    def refuse_once(journal: Journal, batch: list[Any]) -> StorageError | None:
        kinds = {getattr(work.change, "kind", "") for work in batch}
        if refused or Kind.ROUND_CLOSED not in kinds:
            return store(journal, batch)
        refused.extend(kinds)
        return JournalError("the database is locked")

    monkeypatch.setattr(Journal, "_store", refuse_once)
    variables = {"NUM_ROUNDS": 3, "MODEL_MB": 0.01, "MIN_NUM_CLIENTS": 1}
    with Federation(ECHO, workspace=tmp_path, clients=1, variables=variables) as federation:
        federation.serve()
        federation.join("site-1")
        outcome = federation.wait()
        assert (outcome.status, outcome.reason) == ("stopped", "the database is locked")
        assert not outcome.summary["rounds"]
        federation.serve()
        assert federation.wait().status == "finished"
    events = read_events(tmp_path / "run_1" / "journal.db")
    counted = [e.data["round"] for e in events if e.kind == Kind.UPDATE_ACCEPTED]
    assert counted == [0, 1, 2]
