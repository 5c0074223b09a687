# SPDX-License-Identifier: Apache-2.0
"""What lies where a file should is opened only if it is one; nobody waits for a pipe."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from mmar_runner.client.transfer.update_file import OutgoingUpdate
from mmar_runner.errors import FormatError, StorageError
from mmar_runner.storage.atomic import sync_file
from mmar_runner.storage.plain_files import open_plain
from mmar_runner.storage.safetensors_format import read_header
from mmar_runner.storage.tensor_files import TensorReader, TensorWriter, sha256_file, temporary_of


@pytest.fixture(params=["pipe", "folder", "device", "nothing"])
def odd(request, tmp_path):
    path = tmp_path / "odd"
    {
        "pipe": lambda: os.mkfifo(path),
        "folder": path.mkdir,
        "device": lambda: path.symlink_to("/dev/zero"),
        "nothing": lambda: None,
    }[request.param]()
    return path


@pytest.mark.parametrize(
    "opens",
    [open_plain, TensorReader, read_header, sha256_file, lambda path: OutgoingUpdate(path, 1)],
)
def test_what_is_no_plain_file_is_refused_at_once(odd, opens):
    with pytest.raises(StorageError, match="odd"):
        opens(odd)


def test_syncing_a_pipe_waits_for_nobody(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(StorageError, match="pipe"):
        sync_file(tmp_path / "pipe")


def written(path):
    with TensorWriter(path, [("w", "F32", (2,))]) as writer:
        writer.write("w", np.ones(2, np.float32))
        writer.commit()
    return path


def test_a_link_will_do_only_where_nobody_else_writes(tmp_path):
    link = tmp_path / "link"
    link.symlink_to(written(tmp_path / "file"))
    with TensorReader(link) as reader:
        assert reader.read("w").tolist() == [1, 1]
    assert read_header(link).tensors.keys() == {"w"}
    for opens in (TensorReader, read_header, open_plain):
        with pytest.raises(StorageError, match="is a link, not a file"):
            opens(link, links=False)


def test_nothing_stays_open_of_a_file_that_is_refused(tmp_path):
    before = len(list(Path("/proc/self/fd").iterdir()))
    (tmp_path / "bad").write_bytes(b"no tensors")
    for _ in range(3):
        with pytest.raises(FormatError):
            TensorReader(tmp_path / "bad")
        with pytest.raises(StorageError):
            open_plain(tmp_path)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_writer_follows_no_link_in_its_place(tmp_path):
    other = tmp_path / "other"
    other.write_bytes(b"kept")
    path = tmp_path / "file"
    temporary_of(path).symlink_to(other)
    written(path)
    assert other.read_bytes() == b"kept"
    assert not path.is_symlink()
