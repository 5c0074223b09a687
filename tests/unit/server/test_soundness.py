# SPDX-License-Identifier: Apache-2.0
"""The open round's model is damaged while its server runs: that is noticed, and the run stops."""

from __future__ import annotations

import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from mmar_runner.errors import StorageError
from mmar_runner.interfaces.observer import Topic
from mmar_runner.server.calls.soundness import Soundness
from mmar_runner.server.records.model_file import ModelFile
from mmar_runner.server.records.models import ModelStore
from mmar_runner.server.records.workspace import RunFolder
from mmar_runner.server.rounds.assignments import Assignments
from mmar_runner.server.rounds.open_round import OpenRound
from mmar_runner.storage import plain_files
from mmar_runner.testing.federation import Federation

ECHO = Path(__file__).parents[3] / "mmars" / "echo"


class Scene:
    """Round 3 is open, and its model is a file of a few bytes."""

    def __init__(self, tmp_path: Path) -> None:
        self.folder = RunFolder(tmp_path, 1)
        self.folder.models.mkdir(parents=True)
        self.path = self.folder.model(3)
        self.path.write_bytes(b"model")
        self.model = ModelFile.load(self.path, sha256(b"model").hexdigest())
        self.assignments = Assignments()
        self.assignments.open(OpenRound(3, self.model, 0.0))
        self.interrupted: list[StorageError] = []
        self.models = ModelStore(self.folder, keep=None)
        self.soundness = Soundness(
            self.models, self.assignments, self.interrupted.append, pause=3600
        )


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def rot(path: Path) -> None:
    """Change a byte behind the file system's back."""
    before = path.stat()
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def write_over(path: Path) -> None:
    path.write_bytes(b"nodel")


async def test_a_file_that_nobody_touched_is_not_read(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(ModelStore, "loss_of_file")
    await scene.soundness.require(3, scene.model)


async def test_a_file_that_was_only_touched_is_sound(scene: Scene) -> None:
    os.utime(scene.path, (1, 1))
    await scene.soundness.require(3, scene.model)
    assert not scene.interrupted


@pytest.mark.parametrize(("damage", "what"), [(write_over, "damaged"), (Path.unlink, "missing")])
async def test_damage_that_the_file_system_shows_stops_the_run(
    scene: Scene, damage: Callable[[Path], None], what: str
) -> None:
    damage(scene.path)
    with pytest.raises(StorageError, match=rf"round_0003.safetensors is {what}") as error:
        await scene.soundness.require(3, scene.model)
    assert error.value.reason == "STORAGE", "a client asks again, and does not give up"
    assert scene.interrupted == [error.value]


async def test_damage_that_nothing_shows_is_found_in_doubt_which_is_not_looked_into_often(
    scene: Scene,
) -> None:
    await scene.soundness.doubt(3, scene.model)
    rot(scene.path)
    await scene.soundness.require(3, scene.model)
    await scene.soundness.doubt(3, scene.model)
    assert not scene.interrupted
    eager = Soundness(scene.models, scene.assignments, scene.interrupted.append, pause=0)
    with pytest.raises(StorageError, match="is damaged"):
        await eager.doubt(3, scene.model)


async def test_a_model_of_an_earlier_round_may_be_gone(scene: Scene) -> None:
    """A slow client still reads it: the run goes on."""
    other = ModelFile(scene.folder.model(4), "", 0, None)
    scene.assignments.open(OpenRound(4, other, 0.0))
    scene.path.unlink()
    await scene.soundness.require(3, scene.model)
    assert not scene.interrupted


async def test_a_process_without_files_left_finds_no_damage(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def many(*_: object, **__: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(plain_files.os, "open", many)
    with pytest.raises(StorageError, match="cannot be read now: Too many open files"):
        await scene.soundness.doubt(3, scene.model)
    assert not scene.interrupted


@pytest.mark.parametrize("damage", [rot, Path.unlink])
def test_a_run_whose_model_was_damaged_stops_and_goes_on_once_it_is_restored(
    damage: Callable[[Path], None], tmp_path: Path
) -> None:
    """Clients got damaged bytes and asked for them again and again, and nobody was told."""
    variables = {"NUM_ROUNDS": 2, "MODEL_MB": 1, "MIN_NUM_CLIENTS": 2}
    model = tmp_path / "run_1" / "models" / "round_0000.safetensors"
    with Federation(ECHO, workspace=tmp_path, clients=2, variables=variables) as federation:
        federation.serve()
        federation.server.wait_for(Topic.LISTENING)
        kept = model.read_bytes()
        damage(model)
        federation.join("site-1")
        federation.join("site-2")
        outcome = federation.wait()
        assert outcome.status == "stopped"
        assert "round_0000.safetensors is" in outcome.reason
        model.write_bytes(kept)
        federation.serve()
        assert federation.wait().status == "finished"


def test_nothing_is_added_to_a_model_that_was_damaged_before_its_updates_came(
    tmp_path: Path,
) -> None:
    """The result would have been another one, on record with a digest of its own.

    So small a model is sent from memory: nobody reads the file before.
    """
    variables = {"NUM_ROUNDS": 1, "MODEL_MB": 0.01, "MIN_NUM_CLIENTS": 1}
    model = tmp_path / "run_1" / "models" / "round_0000.safetensors"
    with Federation(ECHO, workspace=tmp_path, clients=1, variables=variables) as federation:
        federation.serve()
        federation.server.wait_for(Topic.LISTENING)
        write_over(model)
        federation.join("site-1")
        outcome = federation.wait()
    assert outcome.status == "stopped"
    assert "round_0000.safetensors is damaged" in outcome.reason
