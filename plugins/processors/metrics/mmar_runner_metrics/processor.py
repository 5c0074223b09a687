# SPDX-License-Identifier: Apache-2.0
"""The result processor of the topic ``metrics``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mmar_runner.errors import RefusedError
from mmar_runner.interfaces.result_processor import ResultContext, ResultProcessor
from mmar_runner_metrics.csv_file import MetricsFile
from mmar_runner_metrics.rows import read_rows
from mmar_runner_metrics.tensorboard_files import TensorBoardFiles, is_installed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

TOPIC: Final = "metrics"


class MetricsProcessor(ResultProcessor):
    """Writes what clients measured to ``metrics.csv`` and TensorBoard files.

    A result is ``{"round": int, "train": {name: value}, "validation": {name: value},
    "num_samples": number}``; the reply says how many measurements were recorded and how
    many were there already.

    Args:
        tensorboard: Whether TensorBoard files are written; None means if the package
            is installed.

    Raises:
        ImportError: ``tensorboard`` is True and the package is not installed.
    """

    def __init__(self, *, tensorboard: bool | None = None) -> None:
        if tensorboard and not is_installed():
            raise ImportError("tensorboard is not installed: pip install tensorboard")
        self._wants_tensorboard = is_installed() if tensorboard is None else tensorboard
        self._tables: dict[Path, MetricsFile] = {}
        self._events: dict[Path, TensorBoardFiles] = {}

    def get_topics(self) -> Sequence[str]:
        """Return the one topic."""
        return (TOPIC,)

    def process(
        self,
        topic: str,  # noqa: ARG002 - there is only one
        result: Mapping[str, Any],
        context: ResultContext,
    ) -> Mapping[str, Any]:
        """Record one result.

        Raises:
            RefusedError: The result is malformed, or the client's name is no file name.
        """
        _check_client(context.client)
        rows = read_rows(
            result,
            run=context.run_number,
            client=context.client,
            newest_round=context.newest_round,
        )
        folder = context.run_folder
        if folder not in self._tables:
            self._tables[folder] = MetricsFile(folder / "metrics.csv")
            self._events[folder] = TensorBoardFiles(folder / "tensorboard")
        new = self._tables[folder].append(rows)
        if new and self._wants_tensorboard:
            self._events[folder].append(context.client, new)
        return {"recorded": len(new), "duplicates": len(rows) - len(new)}


def _check_client(name: str) -> None:
    # The name becomes a folder's.
    if name in {"", ".", ".."} or "/" in name or "\\" in name or not name.isprintable():
        raise RefusedError(f"{name!r} cannot be the name of a client", reason="PROTOCOL")
