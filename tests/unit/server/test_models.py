# SPDX-License-Identifier: Apache-2.0
"""Stored models by their id."""

from hashlib import sha256
from pathlib import Path

import pytest

from mmar_runner.errors import RefusedError
from mmar_runner.server.records import model_file
from mmar_runner.server.records.models import ModelStore
from mmar_runner.server.records.workspace import RunFolder


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    folder = RunFolder(tmp_path, 1)
    folder.models.mkdir()
    (folder.models / "best.safetensors").write_bytes(b"one")
    return ModelStore(folder, keep=2)


def test_a_model_is_read_once_for_its_digest_however_often_it_is_asked_for(
    store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = []

    def counted(path: Path) -> str:
        reads.append(path.name)
        return sha256(path.read_bytes()).hexdigest()

    monkeypatch.setattr(model_file, "sha256_file", counted)
    assert {store.by_id("best").sha256 for _ in range(5)} == {sha256(b"one").hexdigest()}
    assert reads == ["best.safetensors"]


def test_a_model_that_was_replaced_has_its_own_digest(store: ModelStore, tmp_path: Path) -> None:
    store.by_id("best")
    newer = tmp_path / "newer"
    newer.write_bytes(b"two")
    newer.replace(tmp_path / "models" / "best.safetensors")
    assert store.by_id("best").sha256 == sha256(b"two").hexdigest()


@pytest.mark.parametrize("newest", [2, 9_999, 10_000, 10_001, 2_147_483_647])
def test_the_newest_two_models_stay_however_many_rounds_there_were(
    store: ModelStore, tmp_path: Path, newest: int
) -> None:
    folder = RunFolder(tmp_path, 1)
    for number in range(newest - 2, newest + 1):
        folder.model(number).write_bytes(b"a model")
    store.discard_older(newest)
    left = set(folder.models.glob("round_*.safetensors"))
    assert left == {folder.model(newest - 1), folder.model(newest)}


def test_what_the_aggregator_keeps_goes_with_its_model_and_to_nobody(
    store: ModelStore, tmp_path: Path
) -> None:
    folder = RunFolder(tmp_path, 1)
    for number in range(1, 5):
        folder.model(number).write_bytes(b"a model")
        folder.server_state(number).write_bytes(b"a state")
    store.discard_older(4)
    left = set(folder.models.glob("state_*.safetensors"))
    assert left == {folder.server_state(3), folder.server_state(4)}
    with pytest.raises(RefusedError) as refused:
        store.by_id("state_0004")
    assert "state" not in (refused.value.hint or "")


@pytest.mark.parametrize("name", ["", "final", "../best", "round_x", "x" * 5000])
def test_an_unknown_model_is_refused(store: ModelStore, name: str) -> None:
    with pytest.raises(RefusedError) as refused:
        store.by_id(name)
    assert refused.value.reason == "MODEL_UNKNOWN"
    assert len(refused.value.message) < 300
