# SPDX-License-Identifier: Apache-2.0
"""A bar that shows how far an upload or a download is; nothing where nobody watches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from mmar_runner.documents.words import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console
    from rich.progress import ProgressColumn, TaskID


#: The largest number that is drawn: a server may tell any.
_MOST: Final = 10**18


class TransferBar:
    """One bar, from its first event on.

    Args:
        console: Whose terminal shows it.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    def show(self, facts: Mapping[str, Any]) -> None:
        """Show how far it is: ``what``, ``done``, ``total`` and ``unit``."""
        if not self._console.is_terminal:
            return
        done, total = (max(0, min(facts[key], _MOST)) for key in ("done", "total"))
        if self._progress is None or self._task is None:
            self._progress = Progress(*_columns(str(facts["unit"])), console=self._console)
            self._progress.start()
            what = printable(str(facts["what"]))
            self._task = self._progress.add_task(what, total=total)
        self._progress.update(self._task, completed=done, total=total)

    def stop(self) -> None:
        """Leave the bar as it is."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


def _columns(unit: str) -> list[ProgressColumn]:
    # Of rich's markup nothing is obeyed: a name may come from a server.
    what = TextColumn("{task.description}", markup=False)
    if unit not in ("", "bytes"):
        return [what, BarColumn(), TextColumn("{task.completed:g} of {task.total:g}")]
    return [what, BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()]
