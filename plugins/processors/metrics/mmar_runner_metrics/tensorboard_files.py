# SPDX-License-Identifier: Apache-2.0
"""TensorBoard event files, one folder per client.

Records are written with TensorBoard's own record writer and messages, without its
asynchronous file writer: that one keeps a thread and an open file for every client.
"""

from __future__ import annotations

import os
import time
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mmar_runner_metrics.rows import Row


def is_installed() -> bool:
    """Return True if the tensorboard package can be imported."""
    return find_spec("tensorboard") is not None


class TensorBoardFiles:
    """Writes rows below one folder.

    Args:
        folder: Holds a folder per client.
    """

    def __init__(self, folder: Path) -> None:
        # Another process's file is never appended to: its last record may be torn.
        stamp = f"{int(time.time()):010d}.mmar-runner.{os.getpid()}.{id(self)}"
        self._file_name = f"events.out.tfevents.{stamp}"
        self._folder = folder

    def append(self, client: str, rows: Sequence[Row]) -> None:
        """Write rows of one client; the round is the step, ``phase/metric`` the tag."""
        # tensorboard is optional and slow to import, so only a run that writes pays.
        from tensorboard.compat.proto.event_pb2 import Event  # noqa: PLC0415
        from tensorboard.compat.proto.summary_pb2 import Summary  # noqa: PLC0415
        from tensorboard.summary.writer.record_writer import RecordWriter  # noqa: PLC0415

        path = self._folder / client / self._file_name
        path.parent.mkdir(parents=True, exist_ok=True)
        now = time.time()
        events = [] if path.exists() else [Event(wall_time=now, file_version="brain.Event:2")]
        for row in rows:
            value = Summary.Value(tag=f"{row.phase}/{row.metric}", simple_value=row.value)
            events.append(Event(wall_time=now, step=row.round, summary=Summary(value=[value])))
        with path.open("ab") as file:
            writer = RecordWriter(file)
            for event in events:
                writer.write(event.SerializeToString())
