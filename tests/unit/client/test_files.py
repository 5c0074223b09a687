# SPDX-License-Identifier: Apache-2.0
"""The client's files: state, pending updates, back-off, models on their way."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from mmar_runner.client.connection.backoff import Backoff
from mmar_runner.client.files import workspace as workspace_module
from mmar_runner.client.files.pending import PendingUpdate
from mmar_runner.client.files.state import StateFolders
from mmar_runner.client.files.workspace import ClientWorkspace
from mmar_runner.client.transfer.model_file import IncomingModel
from mmar_runner.client.transfer.update_file import OutgoingUpdate
from mmar_runner.errors import DigestError, ProtocolError, StorageError
from mmar_runner.wire.messages import ModelHeader
from tests.updates import facts


def opened(folder):
    state = StateFolders(folder)
    state.create()
    return state


def leave(state, name):
    state.clear_pending()
    (state.pending / name).touch()
    state.look()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_state_moves_with_the_acknowledgement_only(tmp_path):
    state = opened(tmp_path / "state")
    leave(state, "lost")
    leave(state, "kept")
    assert names(state.current) == []
    state.acknowledge("id-1")
    assert names(state.current) == ["kept"]


def test_state_survives_the_process_and_is_acknowledged_once(tmp_path):
    state = opened(tmp_path / "state")
    leave(state, "first")
    state.acknowledge("id-1")

    again = opened(tmp_path / "state")
    again.acknowledge("id-1")  # the process died before it forgot the update
    assert names(again.current) == ["first"]
    leave(again, "second")
    again.acknowledge("id-2")
    assert names(opened(tmp_path / "state").current) == ["second"]


def test_state_is_on_the_disk_before_its_name_is(tmp_path, monkeypatch):
    """Else a machine that loses power finds a name without what it stands for."""
    state = opened(tmp_path / "state")
    leave(state, "kept")
    calls = []

    def note(name, path_of):
        real = getattr(os, name)

        def noted(*args):
            calls.append((name, path_of(*args)))
            return real(*args)

        monkeypatch.setattr(os, name, noted)

    note("fsync", lambda descriptor: Path(f"/proc/self/fd/{descriptor}").readlink().name)
    note("replace", lambda _, target: Path(target).name)
    pending = state.pending.name
    state.acknowledge("id-1")
    order = [name for _, name in calls]
    assert order[:2] == ["kept", pending]
    assert calls[-2:] == [("replace", "current.json"), ("fsync", "state")]


def test_a_trainer_that_stops_keeping_has_an_empty_state(tmp_path):
    state = opened(tmp_path / "state")
    leave(state, "first")
    state.acknowledge("id-1")
    state.clear_pending()
    state.look()
    state.acknowledge("id-2")
    assert names(state.current) == []


@pytest.fixture
def update():
    return PendingUpdate(
        facts=facts(3, bytes=4, num_samples=2.0, metrics={"loss": 1.0}),
        run_number=1,
        base_sha256="b" * 64,
        update_id="u1",
        file="update.safetensors",
        mmar_digest="m",
    )


def test_a_pending_update_is_found_again(tmp_path, update):
    files = ClientWorkspace(tmp_path).run(1)
    files.update.write_bytes(b"four")
    files.keep_pending(update)

    again = ClientWorkspace(tmp_path).run(1)
    assert again.pending(mmar_digest="m") == update
    again.forget_pending()
    assert again.pending(mmar_digest="m") is None


def test_a_pending_update_of_an_earlier_version_is_sent(tmp_path, update):
    """It was trained already, and a new version of the program is no reason to do it again."""
    files = ClientWorkspace(tmp_path).run(1)
    files.update.write_bytes(b"four")
    files.keep_pending(update)
    path = files.folder / "pending.json"
    kept = {
        "boot_id": json.loads(path.read_bytes())["boot_id"],
        "update": {
            "run_number": 1,
            "round": 3,
            "base_sha256": "b" * 64,
            "update_id": "u1",
            "file": "update.safetensors",
            "total_bytes": 4,
            "num_samples": 2.0,
            "kind": "weights",
            "seconds_train": 0.5,
            "mmar_digest": "m",
            "metrics": {"loss": 1.0},
            "validation": {},
        },
    }
    assert json.loads(path.read_bytes()) == kept  # nor does an earlier one lack anything
    path.write_text(json.dumps(kept))
    assert files.pending(mmar_digest="m") == update


@pytest.mark.parametrize(
    "values",
    [
        {"round": "x"},
        {"round": 2**70},
        {"num_samples": "many"},
        {"metrics": [1]},
        {"metrics": {"loss": "low"}},
        {"run_number": True},
        {"kind": "gradients"},
        {"num_samples": 10**400},
        {"file": 7},
    ],
    ids=str,
)
def test_a_pending_update_of_wrong_types_is_not_sent(tmp_path, update, values):
    files = ClientWorkspace(tmp_path).run(1)
    (files.folder / update.file).write_bytes(b"1234")
    files.keep_pending(update)
    path = files.folder / "pending.json"
    kept = json.loads(path.read_bytes())
    path.write_text(json.dumps({**kept, "update": {**kept["update"], **values}}))
    assert files.pending(mmar_digest="m") is None
    path.write_text("[" * 100_000)
    assert files.pending(mmar_digest="m") is None


def test_what_another_run_of_the_same_number_left_goes_aside(tmp_path, update):
    """A trainer's state of the run 1 of before is none of this one's."""
    workspace = ClientWorkspace(tmp_path)
    first = workspace.run(1, "aa")
    leave(first.state, "kept")
    first.state.acknowledge("id-1")
    first.keep_pending(update)
    assert names(workspace.run(1, "aa").state.current) == ["kept"]
    assert names(workspace.run(1).state.current) == ["kept"]  # a server that does not say

    other = workspace.run(1, "bb")
    assert names(other.state.current) == []
    assert not other.keeps_pending
    assert (tmp_path / "run_1.of_aa" / "pending.json").exists()
    assert names(workspace.run(1, "bb").state.current) == []


def test_a_session_key_that_is_damaged_is_named(tmp_path):
    (tmp_path / "session.key").touch(mode=0o600)
    with pytest.raises(StorageError, match=r"session\.key is damaged") as caught:
        ClientWorkspace(tmp_path).session_key()
    assert "remove it" in caught.value.hint


@pytest.mark.parametrize("case", ["digest", "size", "boot", "damaged", "gone", "run"])
def test_a_pending_update_that_cannot_be_trusted_is_not_sent(tmp_path, update, case, monkeypatch):
    files = ClientWorkspace(tmp_path).run(1)
    files.update.write_bytes(b"four")
    files.keep_pending(replace(update, run_number=2) if case == "run" else update)
    if case == "size":
        files.update.write_bytes(b"three")
    if case == "gone":
        files.update.unlink()
    if case == "damaged":
        (files.folder / "pending.json").write_bytes(b'{"boot_id": ')
    if case == "boot":
        monkeypatch.setattr(workspace_module, "boot_id", lambda: "another")

    again = ClientWorkspace(tmp_path).run(1)
    assert again.pending(mmar_digest="other" if case == "digest" else "m") is None


def test_a_key_that_others_can_read_is_refused(tmp_path):
    workspace = ClientWorkspace(tmp_path)
    key = workspace.session_key()
    assert workspace.session_key() == key
    (tmp_path / "session.key").chmod(0o644)
    with pytest.raises(StorageError, match="read by others"):
        workspace.session_key()


def test_a_folder_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(StorageError, match="file"),
        ClientWorkspace(tmp_path / "file").locked("site-1"),
    ):
        pass


@pytest.mark.parametrize("jitter", [0.0, 0.5, 0.999])
def test_pauses_double_up_to_five_seconds(jitter):
    backoff = Backoff(lambda: jitter)
    delays = [backoff.next_delay() for _ in range(8)]

    assert 0.15 <= delays[0] <= 0.25
    assert delays == sorted(delays)
    assert all(delay <= 5.0 for delay in delays)
    assert delays[-1] >= 3.75


def header(data, **changes):
    values = {"round": 1, "total_bytes": len(data), "sha256": sha256(data).hexdigest()}
    return ModelHeader(**{**values, **changes})


def test_a_model_overwrites_a_longer_one(tmp_path):
    path = tmp_path / "model"
    path.write_bytes(b"x" * 100)
    model = IncomingModel(path, header(b"short"))
    model.write([b"sh", memoryview(b"ort")])
    model.finish()
    model.close()
    assert path.read_bytes() == b"short"


def test_a_damaged_model_is_refused(tmp_path):
    model = IncomingModel(tmp_path / "model", header(b"short"))
    model.write([b"shore"])
    with pytest.raises(DigestError):
        model.finish()
    with pytest.raises(ProtocolError):
        model.write([b"!"])
    model.close()


def test_an_update_is_read_in_chunks_and_hashed(tmp_path):
    data = bytes(range(256)) * 9000
    path = tmp_path / "update"
    path.write_bytes(data)
    with OutgoingUpdate(path, len(data)) as update:
        update.skip(1000)
        rest = []
        while chunks := update.read(2):
            rest += chunks
        assert b"".join(rest) == data[1000:]
        assert update.sha256() == sha256(data).hexdigest()


def test_an_update_that_became_shorter_is_noticed(tmp_path):
    path = tmp_path / "update"
    path.write_bytes(b"four")
    with OutgoingUpdate(path, 5) as update:
        assert update.read(1) == [b"four"]
        with pytest.raises(StorageError, match="shorter"):
            update.read(1)
