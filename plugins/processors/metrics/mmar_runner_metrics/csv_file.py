# SPDX-License-Identifier: Apache-2.0
"""``metrics.csv``: a table (RFC 4180) to which rows are only appended."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Final

from mmar_runner_metrics.rows import Row

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_LINE_END: Final = b"\r\n"


class MetricsFile:
    """The table of one run; each measurement stands in it once.

    A process that died while writing leaves at most half a line behind, which is cut
    off when the file is opened again; its result is then sent again.

    Args:
        path: The file; made if it is not there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        whole = _whole_lines(path.read_bytes()) if path.exists() else b""
        if not whole:
            whole = _encode([Row._fields])
        self._path.write_bytes(whole)
        self._seen = {Row(*fields).key for fields in _records(whole)}  # type: ignore[arg-type]

    def append(self, rows: Iterable[Row]) -> list[Row]:
        """Append the rows that are not there yet, and return them."""
        new = {row.key: row for row in rows if row.key not in self._seen}
        if new:
            with self._path.open("ab") as file:
                file.write(_encode(new.values()))
            self._seen.update(new)
        return list(new.values())


def _whole_lines(content: bytes) -> bytes:
    end = content.rfind(_LINE_END)
    return content[: end + len(_LINE_END)] if end >= 0 else b""


def _records(content: bytes) -> list[list[str]]:
    records = list(csv.reader(io.StringIO(content.decode(), newline="")))[1:]
    return [r for r in records if len(r) == len(Row._fields)]


def _encode(records: Iterable[Iterable[object]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(records)
    return text.getvalue().encode()
