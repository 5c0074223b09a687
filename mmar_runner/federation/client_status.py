# SPDX-License-Identifier: Apache-2.0
"""What a client is at: one word, the same at the server, in ``status.json`` and on a screen."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, TypedDict


class ClientStatus(StrEnum):
    """What a client is at. A member is its word: it equals, and is written as, that string.

    A word that is none of them, as a client of another version may say it, is UNKNOWN.
    """

    UNKNOWN = "unknown"
    IDLE = "idle"
    EXPECTED = "expected"  # there before the server was started again, and not heard of since
    ASKED = "asked"  # it has not fetched the round's model
    TRANSFERRING = "transferring"  # a model or an update
    TRAINING = "training"
    VALIDATING = "validating"
    DONE = "done"  # its update counts
    LEFT = "left"

    @property
    def at_work(self) -> bool:
        """Whether a client that says so works on a round's task."""
        return self in {ClientStatus.TRAINING, ClientStatus.VALIDATING}

    @classmethod
    def _missing_(cls, _value: object) -> ClientStatus:
        return cls.UNKNOWN


class Progress(TypedDict):
    """How far a client is with what it does.

    Attributes:
        done: What is done.
        total: Of how much; 0 if that is not known.
        unit: Of what.
    """

    done: int
    total: int
    unit: Literal["bytes", "steps"]
