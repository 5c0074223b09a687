# SPDX-License-Identifier: Apache-2.0
"""What a case is, and the list of all of them."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from tests.faults.arena import Arena

#: Plays a case with the chances of one seed; returns the figure observed, or nothing.
Play = Callable[[Arena, random.Random], str]


class NotHereError(Exception):
    """A case cannot be played here; the message says why."""


@dataclass(frozen=True, slots=True)
class Case:
    """One fault.

    Attributes:
        name: ``F01`` ... ``F24``, or a word for what goes beyond that list.
        fault: What happens.
        expected: What must be observed.
        peers: What the documentation and code of NVFlare and Flower promise.
        play: Plays it.
        scaled: Durations that are shorter here than in the list; empty if none is.
    """

    name: str
    fault: str
    expected: str
    peers: tuple[str, str]
    play: Play
    scaled: str = ""


CASES: dict[str, Case] = {}


def case(
    name: str, fault: str, expected: str, *, peers: tuple[str, str] = ("?", "?"), scaled: str = ""
) -> Callable[[Play], Play]:
    """Enter a function as a case; see `Case`."""

    def enter(play: Play) -> Play:
        CASES[name] = Case(name, fault, expected, peers, play, scaled)
        return play

    return enter
