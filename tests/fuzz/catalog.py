# SPDX-License-Identifier: Apache-2.0
"""All targets, by name."""

from __future__ import annotations

from itertools import chain
from typing import Final

from tests.fuzz import (
    targets_disk,
    targets_documents,
    targets_mmar,
    targets_processes,
    targets_security,
    targets_shell,
    targets_storage,
    targets_wire,
)
from tests.fuzz.target import Target

_FAMILIES: Final = (
    targets_documents,
    targets_storage,
    targets_wire,
    targets_security,
    targets_mmar,
    targets_disk,
    targets_processes,
    targets_shell,
)
TARGETS: Final[dict[str, Target]] = {
    target.name: target for target in chain.from_iterable(family.TARGETS for family in _FAMILIES)
}
#: The module of each: who searches one need not import the others.
FAMILY_OF: Final = {
    target.name: family.__name__ for family in _FAMILIES for target in family.TARGETS
}
