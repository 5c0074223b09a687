# SPDX-License-Identifier: Apache-2.0
"""What a trainer keeps between rounds, and when it counts.

Two folders take turns. ``current.json`` names the one that the last acknowledged round
left; the other is emptied and offered to the round under way. Acknowledgement moves
the name, in one rename, so that a crash leaves the old state or the new, never both.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from typing import TYPE_CHECKING

from mmar_runner.storage.atomic import sync_tree, translated, write_json_atomic

if TYPE_CHECKING:
    from pathlib import Path


_log = logging.getLogger(__name__)


class StateFolders:
    """The state of one client's trainer in one run.

    Args:
        folder: Where it lies.
        durable: Whether what counts is on the disk before it counts.
    """

    def __init__(self, folder: Path, *, durable: bool = True) -> None:
        self._folder = folder
        self._durable = durable
        self._pointer = folder / "current.json"
        self._slots = (folder / "slot_0", folder / "slot_1")
        self._current = 0
        self._update_id = ""
        # What is known to be empty need not be looked at in every round.
        self._empty = [False, False]

    def create(self) -> None:
        """Make both folders and find out which is in force.

        Raises:
            StorageError: They cannot be made.
        """
        with translated(self._folder):
            for slot in self._slots:
                slot.mkdir(parents=True, exist_ok=True)
        try:
            named = json.loads(self._pointer.read_bytes())
            self._current, self._update_id = int(named["slot"] == 1), str(named["update_id"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            self._current, self._update_id = 0, ""  # nothing was acknowledged with a state
            if not isinstance(error, FileNotFoundError):
                _log.warning("%s is damaged: what the trainer kept is not used", self._pointer)
        self._empty = [_is_empty(slot) for slot in self._slots]

    @property
    def current(self) -> Path:
        """What the last acknowledged round left."""
        return self._slots[self._current]

    @property
    def pending(self) -> Path:
        """Where the round under way may leave something."""
        return self._slots[1 - self._current]

    @property
    def keeps_nothing(self) -> bool:
        """Whether nothing is kept, as with most trainers; then nothing needs to be written."""
        return all(self._empty)

    @property
    def pending_is_empty(self) -> bool:
        """Whether there is nothing that `clear_pending` would remove."""
        return self._empty[1 - self._current]

    def clear_pending(self) -> None:
        """Empty the folder for a round that begins.

        Raises:
            StorageError: Something in it cannot be removed.
        """
        with translated(self.pending):
            shutil.rmtree(self.pending)
            self.pending.mkdir()
        self._empty[1 - self._current] = True

    def look(self) -> None:
        """See whether the round under way has left something."""
        self._empty[1 - self._current] = _is_empty(self.pending)

    def acknowledge(self, update_id: str) -> None:
        """Let what the round under way left be the state of the next one.

        The state is on the disk before the name that makes it valid is: a machine that
        loses power finds the one or the other, whole. It may block for as long as that takes.

        Args:
            update_id: The update that was acknowledged; doing so twice changes nothing.

        Raises:
            StorageError: The change cannot be written.
        """
        if update_id == self._update_id or self.keeps_nothing:
            return
        other = 1 - self._current
        if self._durable:
            sync_tree(self._slots[other])
        named = {"slot": other, "update_id": update_id}
        write_json_atomic(self._pointer, named, durable=self._durable)
        self._current, self._update_id = other, update_id


def _is_empty(folder: Path) -> bool:
    with translated(folder), os.scandir(folder) as entries:
        return next(entries, None) is None
