# SPDX-License-Identifier: Apache-2.0
"""How a process that runs for days is set up, whatever its role."""

from __future__ import annotations

import gc
from typing import Final

#: Allocations between two young collections: gRPC makes many short-lived objects, and
#: with Python's default a fifth of a busy server's time went into looking at them.
_YOUNG_OBJECTS: Final = 50_000


def settle_memory() -> None:
    """Tell the garbage collector that what exists now stays for the process's life.

    To be called once everything is imported: modules and classes are then never looked
    at again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, 20, 50)
