# SPDX-License-Identifier: Apache-2.0
"""How a deep check is made."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pathlib import Path

#: How long a child may take to build and describe a network, in seconds: importing a framework
#: on a machine that does other things is most of it.
DESCRIBE_SECONDS: Final = 180.0
#: How long a dry run may take, in seconds.
DRY_RUN_SECONDS: Final = 600.0
#: Address space that a child may take, in bytes: as much as the machine has memory, but no less
#: than what a framework reserves and never fills, and no more than a network of this check needs.
LEAST_MEMORY: Final = 16 << 30
MOST_MEMORY: Final = 64 << 30
#: Clients of a dry run, unless the aggregator needs more.
CLIENTS: Final = 2


def memory_of_children(machine: int) -> int:
    """Return the address space that a child may take, on a machine with so much memory; bytes."""
    return max(LEAST_MEMORY, min(machine, MOST_MEMORY))


def _memory() -> int:
    """Return the machine's memory, in bytes."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class DeepOptions:
    """How a deep check is made.

    Attributes:
        own_code: Whether code that the MMAR brings may run, in children.
        plugins_dir: A folder of one-file plugins for the children, or None.
        allowed_path_prefixes: Class paths that a given policy allows; None without one.
        variables: The ``--set`` values.
        dry_run: Whether a round is tried.
        describe_seconds: How long a child may take to describe a network.
        dry_run_seconds: How long the round may take.
        memory_bytes: Address space that a child may take to describe a network.
    """

    own_code: bool = False
    plugins_dir: Path | None = None
    allowed_path_prefixes: tuple[str, ...] | None = None
    variables: Mapping[str, Any] = field(default_factory=dict)
    dry_run: bool = False
    describe_seconds: float = DESCRIBE_SECONDS
    dry_run_seconds: float = DRY_RUN_SECONDS
    memory_bytes: int = field(default_factory=lambda: memory_of_children(_memory()))
