# SPDX-License-Identifier: Apache-2.0
"""How much of the disk a round needs; pure."""

from __future__ import annotations

from typing import Final

#: The round's model, its result, and the best one.
MODELS_AT_ONCE: Final = 3
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


def room_needed(clients: int, *, model: int, update: int, state: int) -> int:
    """Return the bytes that a round needs on the disk.

    Args:
        clients: Of how many there are updates at once.
        model: Bytes of a model.
        update: Bytes of an update.
        state: Bytes of what the aggregator keeps beside a model.
    """
    return clients * update + MODELS_AT_ONCE * model + _STATES_AT_ONCE * state
