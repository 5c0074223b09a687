# SPDX-License-Identifier: Apache-2.0
"""How much of the disk a round needs; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mmar_runner.mmar.spec import ServerSpec

#: The round's model, its result, and the best one.
_MODELS_AT_ONCE: Final = 3
#: What the aggregator keeps: as the round before found it, as this one does, as the next will.
_STATES_AT_ONCE: Final = 3
_FLOAT64_BYTES: Final = 8


def state_bytes(slots: int, fractions: int) -> int:
    """Return what an aggregator's state takes.

    Args:
        slots: Tensors that it keeps for each floating one of the model.
        fractions: Elements of all floating tensors of the model.
    """
    return _FLOAT64_BYTES * slots * fractions


def files_at_once(server: ServerSpec, clients: int) -> tuple[int, int]:
    """Return how many files of updates and of models a round has at once.

    Args:
        server: What passes one of its filters lies there twice.
        clients: Of how many there are updates.
    """
    updates = clients * (2 if server.inbound_filters else 1)
    return updates, _MODELS_AT_ONCE + (2 if server.outbound_filters else 0)


def room_needed(updates: int, models: int, *, model: int, update: int, state: int) -> int:
    """Return the bytes that a round needs on the disk.

    Args:
        updates: How many there are at once.
        models: How many there are at once.
        model: Bytes of a model.
        update: Bytes of an update.
        state: Bytes of what the aggregator keeps beside a model.
    """
    return updates * update + models * model + _STATES_AT_ONCE * state
