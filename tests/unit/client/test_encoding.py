# SPDX-License-Identifier: Apache-2.0
"""The child that encodes updates: one of its own, or one that a pool's clients share."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from mmar_runner.children.spec import ChildSpec
from mmar_runner.client.tasks.encoding import EncodingChild
from mmar_runner.errors import TaskError
from mmar_runner.simulation.pool import TrainerPool
from mmar_runner.simulation.trainer_host import TrainerHost
from mmar_runner.storage.tensor_files import TensorReader, TensorWriter

SPEC = ChildSpec(role="codec")


def update(path: Path, *values: float) -> Path:
    with TensorWriter(path, [("w", "F32", (len(values),))]) as writer:
        writer.write("w", np.array(values, "<f4"))
        writer.commit()
    return path


async def test_a_child_encodes_says_what_it_lost_and_what_it_cannot(tmp_path: Path) -> None:
    child = EncodingChild(SPEC, log=tmp_path / "log", timeout=None)
    source, wire = update(tmp_path / "u", 1.0, 1 + 2.0**-12), tmp_path / "w"
    assert 0 < await child.encode(source, wire, "fp16") < 2.0**-11
    with TensorReader(wire) as reader:
        assert reader.read("w").dtype == np.float16
    with pytest.raises(TaskError, match="'w' holds 70000") as error:
        await child.encode(update(tmp_path / "v", 70_000.0), wire, "fp16")
    assert (error.value.reason, "bf16" in str(error.value.hint)) == ("CODEC", True)
    assert await child.encode(source, wire, "bf16") > 0  # it lives
    await child.close()


async def test_the_clients_of_a_pool_share_one_child_which_the_pool_ends(tmp_path: Path) -> None:
    pool = TrainerPool(["a", "b"], [TrainerHost(tmp_path / "trainers_0.log")], tmp_path)
    one, two = (pool.encoder(SPEC, log=tmp_path / name, timeout=None) for name in "ab")
    source = update(tmp_path / "u", 3.0)
    lost = await asyncio.gather(
        one.encode(source, tmp_path / "1", "bf16"), two.encode(source, tmp_path / "2", "bf16")
    )
    await one.close()
    assert [*lost, await two.encode(source, tmp_path / "3", "bf16")] == [0.0] * 3
    assert not (tmp_path / "a").exists()
    assert pool._encoder is not None
    await pool.close()
