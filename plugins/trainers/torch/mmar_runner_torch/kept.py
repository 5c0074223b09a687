# SPDX-License-Identifier: Apache-2.0
"""What a round leaves for the next besides tensors: a small JSON file in the state folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.storage.atomic import translated, write_json_atomic
from mmar_runner_torch.order import Position

if TYPE_CHECKING:
    from pathlib import Path

#: In a task's state folder.
KEPT_FILE: Final = "torch_trainer.json"


def read_kept(state: Path) -> dict[str, Any]:
    """Return what the last acknowledged round left; empty if it left nothing.

    Raises:
        StorageError: The file cannot be read.
    """
    path = state / KEPT_FILE
    if not path.exists():
        return {}
    with translated(path):
        found: dict[str, Any] = json.loads(path.read_bytes())
    return found


def write_kept(new_state: Path, kept: Mapping[str, Any]) -> None:
    """Keep JSON values by name; nothing is written if there is none.

    Raises:
        StorageError: The file cannot be written.
    """
    if kept:
        write_json_atomic(new_state / KEPT_FILE, dict(kept))


def position_in(kept: Mapping[str, Any], seed: int, length: int) -> Position:
    """Return where the data order goes on.

    Args:
        kept: What `read_kept` returned.
        seed: Where an order begins that nothing was kept of.
        length: Batches of an epoch; a position beyond them is the next epoch's beginning.
    """
    told = kept.get("position")
    if told is None:
        return Position(seed)
    position = Position(**told)
    if position.batch >= length:
        return Position(position.seed, position.epoch + 1)
    return position


def position_facts(position: Position) -> dict[str, int]:
    """Return a position as JSON values."""
    return asdict(position)
