# SPDX-License-Identifier: Apache-2.0
"""Batches: their order, whose they are, and what is said of samples that cannot be prepared."""

from __future__ import annotations

import os
import random
import signal

import numpy as np
import pytest
import torch

from mmar_runner.errors import TaskFailedError
from mmar_runner_monai import loading
from mmar_runner_monai.items import SeededItems
from mmar_runner_monai.loading import Batches, LoaderSettings, workers_for
from mmar_runner_torch.order import Position
from mmar_runner_torch.team import Team


class Numbers:
    """Ten samples, whose values are drawn from every generator there is."""

    def __len__(self):
        return 10

    def __getitem__(self, number):
        return {"number": number, "drawn": torch.rand(()) + np.random.rand() + random.random()}  # noqa: NPY002


class Spoilt(Numbers):
    def __getitem__(self, number):
        if number == 5:
            raise ValueError("no such thing")
        return super().__getitem__(number)


class Dying(Numbers):
    def __getitem__(self, number):
        os.kill(os.getpid(), signal.SIGKILL)


def batches(dataset=None, team=None, **settings):
    made = LoaderSettings(**{"batch_size": 4, **settings})
    return Batches(SeededItems(dataset or Numbers(), "train"), made, team or Team())


def numbers(found):
    return [batch["number"].tolist() for batch in found]


def test_an_epoch_has_every_sample_once_in_an_order_of_its_own() -> None:
    found = batches(shuffle=True)
    found.position = Position(3)
    first = numbers(found)
    assert sorted(number for one in first for number in one) == list(range(10))
    assert [len(one) for one in first] == [4, 4, 2]
    assert numbers(found) == first
    found.position = Position(3, epoch=1)
    assert numbers(found) != first
    found.position = Position(3, batch=2)
    assert numbers(found) == first[2:]
    assert numbers(batches()) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert len(batches(drop_last=True)) == len(numbers(batches(drop_last=True))) == 2


def test_a_position_moves_from_batch_to_batch_and_epoch_to_epoch() -> None:
    found = batches()
    for _ in range(4):
        found.done()
    assert found.position == Position(0, epoch=1, batch=1)


def test_what_a_sample_becomes_depends_on_its_seed_alone() -> None:
    alone = torch.cat([batch["drawn"] for batch in batches()])
    torch.manual_seed(9)
    before = torch.get_rng_state()
    in_processes = torch.cat([batch["drawn"] for batch in batches(workers=2)])
    assert torch.equal(alone, in_processes)
    assert torch.equal(before, torch.get_rng_state())
    assert len(set(alone.tolist())) == 10


def test_processes_share_every_batch() -> None:
    shares = []
    for rank in range(3):
        of_one = batches(team=Team(rank, 3))
        of_one.position = Position(0)
        shares.append([(b["number"].tolist(), of_one.size, of_one.factor) for b in of_one])
    assert [one[0][0] for one in shares] == [[0, 3], [1], [2]]
    assert [one[0][2] for one in shares] == [1.5, 0.75, 0.75]
    assert [one[2][:2] for one in shares] == [([8], 1), ([9], 1), ([8, 9], 0)]
    assert shares[2][2][2] == 0


@pytest.mark.parametrize("workers", [0, 2])
def test_a_sample_that_cannot_be_prepared_is_named(workers) -> None:
    with pytest.raises(TaskFailedError) as raised:
        numbers(batches(Spoilt(), workers=workers))
    assert raised.value.message == "train: sample 5: ValueError: no such thing"


def test_a_process_that_is_killed_ends_the_round() -> None:
    with pytest.raises(RuntimeError, match=r"killed by signal|exited unexpectedly"):
        numbers(batches(Dying(), workers=1))


def test_no_more_processes_than_cores(monkeypatch, tmp_path, caplog) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: range(3))
    assert [workers_for(wanted, 1) for wanted in (0, 2, 9)] == [0, 2, 3]
    assert workers_for(9, 2) == 1
    monkeypatch.setattr(loading, "_free", lambda _: 1000)
    monkeypatch.setattr(loading, "_SHARED_MEMORY", tmp_path)
    assert workers_for(9, 1) == 0
    assert "is full" in caplog.text
