# SPDX-License-Identifier: Apache-2.0
"""A model's chunks are compressed once for all clients, in bounded memory."""

from __future__ import annotations

import asyncio
import os
from contextlib import aclosing
from pathlib import Path

import pytest

from mmar_runner.errors import StorageError
from mmar_runner.server.calls.packed_models import PackedModels
from mmar_runner.server.calls.windows import download_window
from mmar_runner.server.records.model_file import ModelFile
from mmar_runner.wire.messages import ModelHeader
from mmar_runner.wire.packing import Packed, unpack

MIB = 1 << 20


@pytest.fixture
def model(tmp_path: Path) -> ModelFile:
    path = tmp_path / "model"
    path.write_bytes(b"".join(os.urandom(1000) + bytes(9000) for _ in range(350)))
    return ModelFile.load(path, "a" * 64)


async def taken(models: PackedModels, model: ModelFile, offset: int = 0) -> bytes:
    """Take a model as a client does."""
    window = download_window()
    with window.user():
        return b"".join(
            [bytes(unpack(item)) async for item in models.chunks(model, window, offset=offset)]
        )


async def test_clients_share_what_was_compressed_also_one_that_goes_on(model: ModelFile) -> None:
    models, data = PackedModels(), model.path.read_bytes()
    assert await taken(models, model) == data
    once = models.packed
    several = await asyncio.gather(*(taken(models, model) for _ in range(5)))
    assert several == [data] * 5
    assert models.packed == once
    assert await taken(models, model, 128 << 10) == data[128 << 10 :]
    assert models.packed == once
    assert await taken(models, model, 1001) == data[1001:]
    assert models.packed == once + 1  # to the next border, and with the others from there


async def test_those_that_come_at_once_wait_for_the_same(model: ModelFile) -> None:
    models = PackedModels()
    await asyncio.gather(*(taken(models, model) for _ in range(5)))
    alone = PackedModels()
    await taken(alone, model)
    assert models.packed == alone.packed


async def test_no_more_is_kept_than_may_be(model: ModelFile) -> None:
    models = PackedModels(kept_bytes=40_000)
    for _ in range(2):
        assert await taken(models, model) == model.path.read_bytes()
        assert 0 < models._bytes <= 40_000
        assert sum(len(getattr(i, "data", i)) for i in models._kept.values()) == models._bytes
    assert models.packed > len(models._kept)


async def test_who_leaves_does_not_take_it_from_the_others(model: ModelFile) -> None:
    models, window = PackedModels(), download_window()
    async with aclosing(models.chunks(model, window)) as chunks:
        leaving = asyncio.ensure_future(anext(chunks))
        staying = asyncio.create_task(taken(models, model))
        await asyncio.sleep(0)
        leaving.cancel()
        assert await staying == model.path.read_bytes()


async def test_a_file_that_became_shorter_is_noticed_by_all(model: ModelFile) -> None:
    models = PackedModels()
    os.truncate(model.path, 1000)
    results = await asyncio.gather(
        *(taken(models, model) for _ in range(2)), return_exceptions=True
    )
    assert [type(result) for result in results] == [StorageError] * 2
    assert not models._under_way


def test_a_small_model_is_compressed_once_and_only_if_that_saves_something(
    tmp_path: Path,
) -> None:
    models, header = PackedModels(), ModelHeader()
    for name, data in (("zeros", bytes(5000)), ("noise", os.urandom(5000))):
        path = tmp_path / name
        path.write_bytes(data)
        models.put_inline(ModelFile.load(path, name), header)
        assert header.packed is (name == "zeros")
        item = Packed(5000, header.inline) if header.packed else header.inline
        assert unpack(item) == data
