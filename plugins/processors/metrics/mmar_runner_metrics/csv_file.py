# SPDX-License-Identifier: Apache-2.0
"""``metrics.csv``: a table (RFC 4180) to which rows are only appended."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from mmar_runner_metrics.rows import Row

if TYPE_CHECKING:
    from pathlib import Path

_LINE_END: Final = b"\r\n"
#: A longer line is none of ours, in bytes; it is left where it is and not read.
_MAX_LINE: Final = 16 * 1024
#: A name that begins so gets an apostrophe: a spreadsheet takes the others for a formula.
_MARKED: Final = ("=", "+", "-", "@", "'")


@dataclass(slots=True)
class _Newest:
    """What is known of a client: its newest round, and what it measured then."""

    round: int = -1
    measured: set[tuple[str, str]] = field(default_factory=set)

    def add(self, row: Row) -> None:
        if row.round > self.round:
            self.round = row.round
            self.measured.clear()
        if row.round == self.round:
            self.measured.add(row.measured)


class MetricsFile:
    """The table of one run; each measurement stands in it once.

    Of every client the newest round is kept in memory; what it says of an older one is
    compared with the file. A process that died while writing leaves at most half a line
    behind, which is cut off when the file is opened again; its result is then sent again.

    Args:
        path: The file; made if it is not there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._newest: dict[str, _Newest] = {}
        _cut_torn_line(path)
        if not path.stat().st_size:
            path.write_bytes(_encode([Row._fields]))
        for row in self._rows():
            self._of(row.client).add(row)

    def append(self, rows: Iterable[Row]) -> list[Row]:
        """Append the rows that are not there yet, and return them; all are of one result."""
        rows = list(rows)
        there = self._measured(rows[0].client, rows[0].round) if rows else set()
        new = {row.measured: row for row in rows if row.measured not in there}
        if new:
            with self._path.open("ab") as file:
                file.write(_encode(map(_harmless, new.values())))
            for row in new.values():
                self._of(row.client).add(row)
        return list(new.values())

    def _measured(self, client: str, round_number: int) -> set[tuple[str, str]]:
        """Return what the table says that a client measured in a round."""
        newest = self._of(client)
        if round_number > newest.round:
            return set()
        if round_number == newest.round:
            return newest.measured
        mine = (client, round_number)
        return {row.measured for row in self._rows() if (row.client, row.round) == mine}

    def _of(self, client: str) -> _Newest:
        return self._newest.setdefault(client, _Newest())

    def _rows(self) -> Iterator[Row]:
        with self._path.open("rb") as file:
            for line in _short_lines(file):
                # Each by itself: a quote that nobody closes swallows no further line.
                if (row := _row(next(csv.reader([line]), []))) is not None:
                    yield row


def _row(fields: list[str]) -> Row | None:
    """Return a line of the table; None if it is the head, or not ours."""
    try:
        run, number, client, phase, metric, value = fields
        return Row(int(run), int(number), client, phase, _as_sent(metric), float(value))
    except ValueError:
        return None


def _harmless(row: Row) -> Row:
    """Return a row that no spreadsheet reads as a formula: ``=x`` becomes ``'=x``.

    An apostrophe gets one too, so that every name can be read back as it was sent.
    """
    return row._replace(metric=f"'{row.metric}") if row.metric.startswith(_MARKED) else row


def _as_sent(metric: str) -> str:
    return metric[1:] if metric[:1] == "'" and metric[1:].startswith(_MARKED) else metric


def _short_lines(file: io.BufferedReader) -> Iterator[str]:
    begins = True
    while line := file.readline(_MAX_LINE):
        whole = line.endswith(b"\n")
        if begins and whole:
            yield line.decode(errors="replace")
        begins = whole


def _cut_torn_line(path: Path) -> None:
    """Cut off what stands behind the last whole line; make the file if it is not there."""
    with path.open("ab+") as file:
        end = file.seek(0, io.SEEK_END)
        while end:
            begin = max(0, end - _MAX_LINE)
            file.seek(begin)
            found = file.read(end - begin).rfind(_LINE_END)
            if found >= 0:
                end = begin + found + len(_LINE_END)
                break
            # The line end itself may lie across the border.
            end = begin + 1 if begin else 0
        file.truncate(end)


def _encode(records: Iterable[Iterable[object]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(records)
    return text.getvalue().encode()
