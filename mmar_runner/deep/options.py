# SPDX-License-Identifier: Apache-2.0
"""How a deep check is made."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from mmar_runner.documents.words import human_bytes

#: How long a child may take to build and describe a network, in seconds: importing a framework
#: on a machine that does other things is most of it.
DESCRIBE_SECONDS: Final = 180.0
#: How long a dry run may take, in seconds.
DRY_RUN_SECONDS: Final = 600.0
#: Address space that a child may take, in bytes: as much as the machine has memory, but no less
#: than what a framework reserves and never fills, and no more than a network of this check needs.
LEAST_MEMORY: Final = 16 << 30
MOST_MEMORY: Final = 64 << 30
#: Where a driver of NVIDIA's is. What works on an accelerator reserves addresses for all memory
#: of the machine and of its accelerators, and takes little of them.
_DRIVER: Final = Path("/dev/nvidiactl")
#: What errors say of memory that could not be had.
_NO_MEMORY: Final = ("MemoryError", "allocate memory", "bad_alloc")
#: Clients of a dry run, unless the aggregator needs more.
CLIENTS: Final = 2


def memory_of_children(machine: int) -> int:
    """Return the address space that a child may take, on a machine with so much memory; bytes."""
    return max(LEAST_MEMORY, min(machine, MOST_MEMORY))


def memory_mend(said: str, limit: int | None) -> str | None:
    """Return a mend for a failure that says that there was no memory; None if it does not.

    Args:
        said: What is known of the failure.
        limit: What its process may take, in bytes; None for no limit.
    """
    if limit is None or not any(words in said for words in _NO_MEMORY):
        return None
    most = human_bytes(limit)
    return f"Declare a smaller one: it may take {most} here, and a site may have less."


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
        dry_run_bytes: Address space that a child may take in the round that is tried, where the
            policy says no less; None, on a machine with an accelerator, is no limit.
        policy: The policy of a site that the round goes by; None without one.
    """

    own_code: bool = False
    plugins_dir: Path | None = None
    allowed_path_prefixes: tuple[str, ...] | None = None
    variables: Mapping[str, Any] = field(default_factory=dict)
    dry_run: bool = False
    describe_seconds: float = DESCRIBE_SECONDS
    dry_run_seconds: float = DRY_RUN_SECONDS
    memory_bytes: int = field(default_factory=lambda: memory_of_children(_memory()))
    dry_run_bytes: int | None = field(
        default_factory=lambda: None if _DRIVER.exists() else memory_of_children(_memory())
    )
    policy: Path | None = None
