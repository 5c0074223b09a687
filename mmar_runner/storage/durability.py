# SPDX-License-Identifier: Apache-2.0
"""How much a write must survive before it is acknowledged."""

from __future__ import annotations

from enum import StrEnum


class Durability(StrEnum):
    """What an acknowledged write survives.

    Attributes:
        PROCESS: The death of the process (``kill -9``), not of the machine.
        FULL: The death of the machine too: the bytes are on the disk.
    """

    PROCESS = "process"
    FULL = "full"
