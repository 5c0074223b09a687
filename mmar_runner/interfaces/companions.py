# SPDX-License-Identifier: Apache-2.0
"""Companions: tensors that travel beside those of a model, because an algorithm needs them.

SCAFFOLD (Karimireddy et al., 2020, arXiv:1910.06378) keeps a control variate for every weight.
An aggregator that needs such says so: ``extras={"companions": ["control_variate"]}``. The
server then adds a tensor ``control_variate/NAME`` of zeros, with the type and shape of NAME, to
the initial model for each floating tensor that is not excluded. From then on they are tensors
as all others: they travel, are checked and aggregated. They are left out of what is exported.
"""

from __future__ import annotations

from typing import Final

#: Control variates.
CONTROL_VARIATE: Final = "control_variate"

#: Every sort of companion there is. No tensor of a network is named so.
SORTS: Final = frozenset({CONTROL_VARIATE})


def companion_of(sort: str, name: str) -> str:
    """Return the name of a tensor's companion, such as ``control_variate/fc.weight``."""
    return f"{sort}/{name}"


def is_companion(name: str) -> bool:
    """Return whether a tensor is a companion of another, by its name."""
    sort, slash, _ = name.partition("/")
    return bool(slash) and sort in SORTS


def accompanied(name: str) -> str:
    """Return the name of the tensor that a companion accompanies; of any other, its own."""
    return name.partition("/")[2] if is_companion(name) else name
