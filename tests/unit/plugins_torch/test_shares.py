# SPDX-License-Identifier: Apache-2.0
"""Every sample of every batch is counted by one process, and batches are the same for all."""

from __future__ import annotations

import pytest
import torch
from torch.utils.data import TensorDataset

from mmar_runner_torch.batches import loader, shares
from mmar_runner_torch.team import Team

SAMPLES = 11
DATA = TensorDataset(torch.arange(SAMPLES), torch.arange(SAMPLES))


def batches(**arguments):
    declared = {"args": {"batch_size": 5, "shuffle": True, **arguments}}
    return loader(DATA, declared, 7)


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("size", [1, 2, 3, 6])
def test_shares_make_up_the_batches(size, drop_last):
    declared = {"drop_last": drop_last}
    whole = [batch[0].tolist() for batch in batches(**declared)]
    found = [[] for _ in whole]
    for rank in range(size):
        own = shares(batches(**declared), Team(rank, size))
        assert len(own.batches) == len(whole)
        for number, (got, _) in enumerate(own.batches, start=1):
            assert own.whole(number) == len(whole[number - 1])
            counted = own.counted(number, len(got))
            assert counted in {len(got), 0}
            found[number - 1] += got.tolist()[:counted]
    assert [sorted(one) for one in found] == [sorted(one) for one in whole]


def test_epochs_follow_each_other_alike_in_all_processes():
    whole = batches()
    expected = [sorted(batch[0].tolist()) for _ in range(2) for batch in whole]
    assert expected[:3] != expected[3:]  # drawn anew
    both = [shares(batches(), Team(rank, 2)).batches for rank in (0, 1)]
    drawn = [[batch[0].tolist() for _ in range(2) for batch in one] for one in both]
    together = [sorted({*left, *right}) for left, right in zip(*drawn, strict=True)]
    assert together == expected


def test_a_share_that_has_no_sample_is_there_and_not_counted():
    own = shares(batches(), Team(1, 2))
    last = [batch[0].tolist() for batch in own.batches][-1]
    assert len(last) == 1
    assert own.counted(3, 1) == 0
    assert own.counted(6, 1) == 0  # of the next epoch
    assert own.counted(4, 2) == 2
