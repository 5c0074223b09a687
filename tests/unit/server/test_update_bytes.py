# SPDX-License-Identifier: Apache-2.0
"""Where the bytes of updates lie, and which of them are kept at hand."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from mmar_runner.errors import JournalError
from mmar_runner.server.records import update_bytes
from mmar_runner.server.records.record import AcceptedUpdate, CountedUpdate, Kind, OnRecord
from mmar_runner.server.records.update_bytes import UpdateBytes
from mmar_runner.storage.journal import Journal
from mmar_runner.storage.spool import update_path
from tests.updates import accepted


def tensors(value: float) -> bytes:
    return save({"w": np.full(4, value, np.float32)})


def update(client: str, data: bytes, *, inline: bool = True) -> AcceptedUpdate:
    digest = sha256(data).hexdigest()
    return accepted(client, 2, sha256=digest, bytes=len(data), inline=inline)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "journal.db") as opened:
        yield opened


def read(held: UpdateBytes, counted: CountedUpdate) -> float:
    block = np.empty(1, np.float32)
    with held.open(counted) as reader:
        reader.read_into("w", 3, block)
    return float(block[0])


def test_a_small_update_lies_in_the_journal_and_a_large_one_in_the_spool(
    tmp_path: Path, journal: Journal
) -> None:
    held = UpdateBytes(tmp_path, journal)
    small, large = update("site-1", tensors(1)), update("site-2", tensors(2), inline=False)
    recorded = journal.append(Kind.UPDATE_ACCEPTED, small.to_json(), blob=tensors(1))
    counted = CountedUpdate(small, recorded), CountedUpdate(large, OnRecord(7))
    path = update_path(tmp_path, 2, "site-2")
    path.parent.mkdir()
    path.write_bytes(tensors(2))
    assert [read(held, one) for one in counted] == [1.0, 2.0]
    assert all(map(held.is_whole, counted))
    path.write_bytes(tensors(3))
    journal.drop_blobs(100).result()
    assert not any(map(held.is_whole, counted))


def test_what_is_at_hand_is_not_read_again_until_the_next_round(
    tmp_path: Path, journal: Journal
) -> None:
    held = UpdateBytes(tmp_path, journal)
    counted = CountedUpdate(update("site-1", tensors(1)), OnRecord(7))  # which is not there
    held.keep(counted.update, tensors(1))
    assert read(held, counted) == 1.0
    held.forget()
    with pytest.raises(JournalError):
        held.open(counted)


def test_no_more_is_kept_at_hand_than_there_is_room_for(
    tmp_path: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(update_bytes, "_AT_HAND", len(tensors(1)))
    held = UpdateBytes(tmp_path, journal)
    first, second = (update("site-1", tensors(value)) for value in (1, 2))
    held.keep(first, tensors(1))
    held.keep(second, tensors(2))  # another update of the same client, once the first was refused
    number = journal.append(Kind.UPDATE_ACCEPTED, second.to_json(), blob=tensors(2))
    assert read(held, CountedUpdate(second, number)) == 2.0
