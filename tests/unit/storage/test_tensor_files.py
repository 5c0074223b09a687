# SPDX-License-Identifier: Apache-2.0
"""Tensor files: written in blocks, seen only when whole, read back exactly."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from mmar_runner.errors import DiskFullError, SchemaMismatchError, StorageError
from mmar_runner.storage.tensor_files import TensorReader, TensorWriter, sha256_file

_LARGE = np.random.default_rng(1).standard_normal(700_001).astype(np.float32)
_ARRAYS: dict[str, Any] = {
    "large": _LARGE,
    "none": np.zeros((0, 3), np.float64),
    "matrix": np.arange(12, dtype=np.int64).reshape(3, 4),
    "scalar": np.array(1.5, ml_dtypes.bfloat16),
    "flags": np.array([True, False]),
}
_TENSORS = [
    ("large", "F32", (700_001,)),
    ("none", "F64", (0, 3)),
    ("matrix", "I64", (3, 4)),
    ("scalar", "BF16", ()),
    ("flags", "BOOL", (2,)),
]


def _write(path: Path, *, block: int = 100_000, **options: Any) -> str:
    with TensorWriter(path, _TENSORS, {"k": "v"}, **options) as writer:
        for name, array in _ARRAYS.items():
            flat = array.reshape(-1)
            for start in range(0, flat.size, block):
                writer.write(name, flat[start : start + block])
        return writer.commit()


@pytest.mark.parametrize("durable", [False, True])
def test_what_is_written_is_read(tmp_path: Path, durable: bool) -> None:
    path = tmp_path / "m.safetensors"
    digest = _write(path, durable=durable)
    assert digest == sha256_file(path) == hashlib.sha256(path.read_bytes()).hexdigest()
    with TensorReader(path) as reader:
        assert list(reader.header.tensors) == list(_ARRAYS)
        assert reader.header.metadata == {"k": "v"}
        for name, array in _ARRAYS.items():
            read = reader.read(name)
            assert read.dtype == array.dtype
            assert read.shape == array.shape
            assert read.tobytes() == array.tobytes()
    assert [p.name for p in tmp_path.iterdir()] == ["m.safetensors"]


def test_the_bytes_do_not_depend_on_the_blocks(tmp_path: Path) -> None:
    digests = {_write(tmp_path / "m", block=block) for block in (4096, 262_144, 10**9)}
    assert len(digests) == 1


def test_blocks_may_be_reused_by_the_caller_at_once(tmp_path: Path) -> None:
    block = np.empty(100_000, np.float32)
    tensors = [("a", "F32", (2_000_000,))]
    with TensorWriter(tmp_path / "m", tensors, durable=False) as writer:
        for value in range(20):
            block[:] = value
            writer.write("a", block)
        writer.commit()
    with TensorReader(tmp_path / "m") as reader:
        assert np.array_equal(reader.read("a"), np.repeat(np.arange(20.0), 100_000))


def test_a_part_of_a_tensor_is_read_into_given_memory(tmp_path: Path) -> None:
    _write(tmp_path / "m")
    out = np.empty((10, 7), np.float32)
    with TensorReader(tmp_path / "m") as reader:
        reader.read_into("large", 699_931, out)
        assert np.array_equal(out.reshape(-1), _LARGE[699_931:])
        for start, wrong in ((699_932, out), (-1, out), (0, np.empty(3)), (0, out.T)):
            with pytest.raises(SchemaMismatchError):
                reader.read_into("large", start, wrong)
        with pytest.raises(SchemaMismatchError, match="no tensor 'nobody'"):
            reader.read("nobody")


def test_a_recycled_file_is_written_over_whatever_its_length(tmp_path: Path) -> None:
    expected = _write(tmp_path / "fresh")
    for size in (10, 50_000_000):
        old = tmp_path / "old"
        with old.open("wb") as file:
            file.truncate(size)
        inode = old.stat().st_ino
        assert _write(tmp_path / "new", recycle=old) == expected == sha256_file(tmp_path / "new")
        assert (tmp_path / "new").stat().st_ino == inode
        assert not old.exists()
    assert _write(tmp_path / "new", recycle=tmp_path / "nobody") == expected


def test_nothing_is_seen_before_the_commit_nor_left_without_it(tmp_path: Path) -> None:
    path = tmp_path / "m"
    path.write_bytes(b"the model before")
    with TensorWriter(path, [("a", "F32", (2,))], durable=False) as writer:
        writer.write("a", np.ones(2, np.float32))
        assert path.read_bytes() == b"the model before"
    assert [p.name for p in tmp_path.iterdir()] == ["m"]
    assert path.read_bytes() == b"the model before"


@pytest.mark.parametrize(
    ("writes", "told"),
    [
        ([("b", 2)], "'a' is due"),
        ([("a", 2), ("a", 1)], "3 were written"),
        ([("a", 1), ("b", 2)], "only 1 were written"),
        ([("a", 2)], "'b' was not written"),
        ([("a", 2), ("b", 1)], "only 1 were written"),
        ([("a", 2), ("b", 2), ("c", 1)], "no tensor 'c'"),
    ],
)
def test_a_file_is_written_in_order_and_whole(
    tmp_path: Path, writes: list[tuple[str, int]], told: str
) -> None:
    def write_all() -> None:
        tensors = [("a", "F32", (2,)), ("b", "F32", (2,))]
        with TensorWriter(tmp_path / "m", tensors, durable=False) as writer:
            for name, count in writes:
                writer.write(name, np.ones(count, np.float32))
            writer.commit()

    with pytest.raises(SchemaMismatchError, match=told):
        write_all()
    assert list(tmp_path.iterdir()) == []


def test_a_block_of_another_dtype_is_refused(tmp_path: Path) -> None:
    with (
        TensorWriter(tmp_path / "m", [("a", "F32", (2,))], durable=False) as writer,
        pytest.raises(SchemaMismatchError, match="the block is float64"),
    ):
        writer.write("a", np.ones(2))


@pytest.mark.parametrize(
    ("code", "kind"),
    [(errno.ENOSPC, DiskFullError), (errno.EDQUOT, DiskFullError), (errno.EIO, StorageError)],
)
@pytest.mark.parametrize("count", [4, 3_000_000], ids=["small", "in its own thread"])
def test_a_disk_that_refuses_leaves_the_old_file_and_nothing_else(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    code: int,
    kind: type[StorageError],
    count: int,
) -> None:
    path = tmp_path / "m"
    path.write_bytes(b"the model before")

    def refuse(*_: object) -> int:
        raise OSError(code, os.strerror(code))

    def write() -> None:
        with TensorWriter(path, [("a", "F32", (count,))], durable=False) as writer:
            monkeypatch.setattr(os, "pwrite", refuse)
            writer.write("a", np.ones(count, np.float32))
            writer.commit()

    with pytest.raises(StorageError) as caught:
        write()
    assert type(caught.value) is kind
    assert str(path.name) in caught.value.message
    assert path.read_bytes() == b"the model before"
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def test_a_file_that_shrinks_while_it_is_read_is_noticed(tmp_path: Path) -> None:
    _write(tmp_path / "m")
    with TensorReader(tmp_path / "m") as reader:
        os.truncate(tmp_path / "m", 5000)
        with pytest.raises(StorageError, match="was longer when opened"):
            reader.read("large")
