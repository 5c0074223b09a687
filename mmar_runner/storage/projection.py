# SPDX-License-Identifier: Apache-2.0
"""The journal as lines of JSON, for whoever reads along; rebuilt when it is behind."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from mmar_runner.storage.atomic import translated, write_all

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_TAIL_BYTES = 64 * 1024


class Projection:
    """Appends one line per event: ``{"seq", "time", "kind", "data"}``.

    A line that a crash tore is removed when the file is opened, and a file that is
    not a beginning of the journal's is begun anew.

    Args:
        path: The file; created if it is not there.
        last_of_journal: The number of the journal's last event.

    Raises:
        StorageError: The file cannot be opened or repaired.

    Attributes:
        last_seq: The number of the last event in the file; 0 if there is none.
    """

    def __init__(self, path: Path, last_of_journal: int) -> None:
        self._path = path
        with translated(path):
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            self.last_seq, self._size = self._intact()
            if self.last_seq > last_of_journal:
                self.last_seq, self._size = 0, 0
            os.ftruncate(self._descriptor, self._size)

    def write(self, rows: Iterable[tuple[int, float, str, str]]) -> None:
        """Append events: number, time, kind and data, which is JSON already.

        Raises:
            StorageError: The lines cannot be written; a part of them is not kept.
        """
        last_seq = self.last_seq
        lines: list[str] = []
        for last_seq, time, kind, data in rows:
            lines.append(
                f'{{"seq":{last_seq},"time":{time!r},"kind":{json.dumps(kind)},"data":{data}}}\n'
            )
        encoded = "".join(lines).encode()
        with translated(self._path):
            write_all(self._descriptor, encoded, self._size)
        self._size += len(encoded)
        self.last_seq = last_seq

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def _intact(self) -> tuple[int, int]:
        """Return the number of the last whole line, and where it ends."""
        end = os.fstat(self._descriptor).st_size
        tail_bytes = _TAIL_BYTES
        while end:
            start = max(0, end - tail_bytes)
            tail = os.pread(self._descriptor, end - start, start)
            whole = tail.rfind(b"\n")
            begin = tail.rfind(b"\n", 0, whole) + 1 if whole >= 0 else 0
            if whole >= 0 and (begin or not start):
                seq = _sequence(tail[begin:whole])
                if seq is not None:
                    return seq, start + whole + 1
                end = start + begin  # the line is damaged: look at the one before
            elif start:
                tail_bytes *= 2
            else:
                return 0, 0
        return 0, 0


def _sequence(line: bytes) -> int | None:
    try:
        seq = json.loads(line)["seq"]
    except (ValueError, TypeError, LookupError, RecursionError):
        return None
    return seq if isinstance(seq, int) else None
