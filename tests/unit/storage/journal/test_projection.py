# SPDX-License-Identifier: Apache-2.0
"""The projection of a journal has one line for each event, whatever became of its end."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import pytest

from mmar_runner.storage import projection
from mmar_runner.storage.journal import Journal


def test_a_projection_that_could_not_be_written_is_complete_once_it_is_closed(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    lines = path.with_suffix(".jsonl")
    with Journal(path, projection=lines) as journal:
        with monkeypatch.context() as full:
            full.setattr(projection, "write_all", refuse)
            for _ in range(3):
                journal.append("a", {}).result()
        assert lines.read_bytes() == b""
    assert [json.loads(line)["seq"] for line in lines.read_text().splitlines()] == [1, 2, 3]
    assert caplog.text.count("projection is behind") == 1


def refuse(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def projected(path: Path) -> Path:
    """Return the projection of a journal with three events."""
    projection = path.with_name("events.jsonl")
    with Journal(path, projection=projection, clock=lambda: 12.25) as journal:
        for n in range(3):
            journal.append("kind", {"n": n, "text": "a\nb"}).result()
        assert len(_lines(projection)) == 3, "an event that is acknowledged is projected"
    return projection


def test_a_projection_has_one_line_per_event(projected: Path) -> None:
    assert _lines(projected) == [
        {"seq": n + 1, "time": 12.25, "kind": "kind", "data": {"n": n, "text": "a\nb"}}
        for n in range(3)
    ]


@pytest.mark.parametrize("keep", [0, 1, 40, 80, 100, 140, -1])
def test_a_torn_projection_is_repaired(path: Path, projected: Path, keep: int) -> None:
    whole = projected.read_bytes()
    projected.write_bytes(whole[:keep])
    Journal(path, projection=projected).close()
    assert projected.read_bytes() == whole


@pytest.mark.parametrize("tail", [b"\x00" * 50, b"garbage\n", b'{"seq": "x"}\n', b"[1]\nnull\n"])
def test_garbage_at_the_end_of_a_projection_is_replaced(
    path: Path, projected: Path, tail: bytes
) -> None:
    whole = projected.read_bytes()
    projected.write_bytes(whole + tail)
    Journal(path, projection=projected).close()
    assert projected.read_bytes() == whole


def test_a_projection_that_is_ahead_of_the_journal_is_begun_anew(
    path: Path, projected: Path
) -> None:
    whole = projected.read_bytes()
    projected.write_bytes(whole + whole.splitlines(keepends=True)[2].replace(b":3,", b":9,", 1))
    Journal(path, projection=projected).close()
    assert projected.read_bytes() == whole


def test_a_last_line_longer_than_a_read_is_found(path: Path) -> None:
    projection = path.with_name("events.jsonl")
    with Journal(path, projection=projection) as journal:
        journal.append("a", {}).result()
        journal.append("b", {"text": "x" * 300_000}).result()
    whole = projection.read_bytes()
    projection.write_bytes(whole[:-5])
    Journal(path, projection=projection).close()
    assert projection.read_bytes() == whole
    Journal(path, projection=projection).close()
    assert projection.read_bytes() == whole
