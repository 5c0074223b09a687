# SPDX-License-Identifier: Apache-2.0
"""The result processor of the topic ``cross_site_validation``."""

from __future__ import annotations

import csv
import math
import re
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from mmar_runner.errors import RefusedError
from mmar_runner.interfaces.result_processor import ResultContext, ResultProcessor
from mmar_runner.storage.atomic import make_folder, translated

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

TOPIC: Final = "cross_site_validation"
_COLUMNS: Final = ("run", "data_client", "model_owner", "metric", "value", "reason")
#: What a spreadsheet would take for a formula.
_FORMULA: Final = re.compile(r"[=+\-@\t\r]")

#: Data client, model owner and metric; empty for a model that was not validated.
_Key: TypeAlias = tuple[str, str, str]


class ValidateResultProcessor(ResultProcessor):
    """Writes ``cross_site_validation/matrix.csv``, a line for every metric of every pair.

    A result is ``{"data_client": name, "model_owner": name, "metrics": {name: value},
    "reason": text}``. The server keeps the matrix itself in ``results.json``; this is the same
    for whoever reads tables.
    """

    def __init__(self) -> None:
        self._written: dict[Path, set[_Key]] = {}

    def get_topics(self) -> Sequence[str]:
        """Return the one topic."""
        return (TOPIC,)

    def process(
        self,
        topic: str,  # noqa: ARG002 - there is only one
        result: Mapping[str, Any],
        context: ResultContext,
    ) -> Mapping[str, Any]:
        """Write one model's metrics on one client's data; what is there already is not repeated.

        Raises:
            RefusedError: PROTOCOL, the result has another form.
            StorageError: The file cannot be read or written.
        """
        rows = list(_rows(result))
        file = context.run_folder / "cross_site_validation" / "matrix.csv"
        with translated(file):
            make_folder(file.parent, durable=False)
            written = self._known(file)
            new = [row for row in rows if row[:3] not in written]
            self._append(file, context.run_number, new)
        written |= {row[:3] for row in new}
        return {"recorded": len(new), "repeated": len(rows) - len(new)}

    def _known(self, file: Path) -> set[_Key]:
        if file not in self._written:
            self._written[file] = set(_keys_in(file))
        return self._written[file]

    def _append(self, file: Path, run: int, rows: Sequence[tuple[str, str, str, str, str]]) -> None:
        begins = not file.exists()
        with file.open("a", newline="", encoding="utf-8") as output:
            writer = csv.writer(output)
            if begins:
                writer.writerow(_COLUMNS)
            writer.writerows([run, *map(_harmless, row)] for row in rows)


def _rows(result: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str, str]]:
    """Yield data client, owner, metric, value and reason."""
    client, owner, metrics = (result.get(n) for n in ("data_client", "model_owner", "metrics"))
    reason = result.get("reason", "")
    names = all(isinstance(text, str) and text.isprintable() for text in (client, owner, reason))
    if not (names and client and owner and isinstance(metrics, dict)):
        msg = "a result of cross-site validation has data_client, model_owner and metrics"
        raise RefusedError(msg, reason="PROTOCOL")
    for name, value in metrics.items():
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not (isinstance(name, str) and name.isprintable() and number and math.isfinite(value)):
            raise RefusedError(f"{name!r:.80} is no metric with a number", reason="PROTOCOL")
    if not metrics:
        yield str(client), str(owner), "", "", str(reason)
    for name in sorted(metrics):
        yield str(client), str(owner), name, repr(float(metrics[name])), ""


def _keys_in(file: Path) -> Iterator[_Key]:
    if not file.exists():
        return
    with file.open(newline="", encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            client, owner, metric = (row[name] for name in _COLUMNS[1:4])
            yield client.removeprefix("'"), owner.removeprefix("'"), metric.removeprefix("'")


def _harmless(text: str) -> str:
    return f"'{text}" if _FORMULA.match(text) and not _is_number(text) else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
