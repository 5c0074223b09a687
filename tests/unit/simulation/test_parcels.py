# SPDX-License-Identifier: Apache-2.0
"""Folders that travel as bytes: whole, or what has changed, and never out of their place."""

from __future__ import annotations

import pytest

from mmar_runner.errors import StorageError
from mmar_runner.simulation.parcels import Changes, Watched, pack, unpack


def test_a_folder_arrives_as_it_left(tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    (here / "deep" / "er").mkdir(parents=True)
    (here / "a").write_bytes(b"\0one")
    (here / "deep" / "er" / "b").write_bytes(b"")
    (here / "link").symlink_to(tmp_path)
    unpack(pack(here), there)

    assert pack(there) == {"a": b"\0one", "deep/er/b": b""}
    assert pack(tmp_path / "nothing") == {}


@pytest.mark.parametrize("place", ["../a", "/a", "b/../../a", "", "."])
def test_nothing_is_written_outside(tmp_path, place):
    folder = tmp_path / "folder"
    with pytest.raises(StorageError):
        unpack({place: b"x"}, folder)
    with pytest.raises(StorageError):
        Changes(gone=(place,)).apply(folder)

    assert not (tmp_path / "a").exists()


def test_what_has_changed_is_told_once(tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    unpack({"stays": b"1", "grows": b"1", "goes": b"1"}, here)
    unpack(pack(here), there)
    watched = Watched(here)
    (here / "grows").write_bytes(b"22")
    (here / "goes").unlink()
    (here / "new").write_bytes(b"3")
    changes = watched.changes()
    changes.apply(there)

    assert dict(changes.written) == {"grows": b"22", "new": b"3"}
    assert changes.gone == ("goes",)
    assert pack(there) == pack(here)
    assert watched.changes() == Changes()
