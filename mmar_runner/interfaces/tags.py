# SPDX-License-Identifier: Apache-2.0
"""What components state of themselves so that a validator knows which go together.

A description's ``extras["tags"]`` lists some of `Tag`, and ``extras["min_clients"]`` says for
how many clients an algorithm is defined, as a function of its arguments. Whoever states
nothing is held to nothing.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class Tag(StrEnum):
    """One property of a component; its value is the word that plugins write.

    Of an aggregator:

    - ``needs_each_update``: it looks at updates one by one (distances, ranks, norms), so
      nobody may hide them from it, and partial sums are no use to it.
    - ``compares_updates``: its guarantee takes honest updates of a round for samples of one
      distribution, and so for made from one model.
    - ``counts_sampling``: its guarantee counts that a round's clients were drawn by chance.
    - ``scales_by_samples``: it weighs updates by what clients say of themselves.
    - ``sums``: all it needs is the weighted sum of the updates.
    - ``unmasks``: it takes masked updates, and nothing else.
    - ``keeps_state``: it keeps tensors from round to round.
    - ``composes``: combiners may add updates up for it, as its class says.
    - ``control_variates``: clients send control variates beside the weights.

    Of a filter or a trainer:

    - ``masks``: what leaves is unreadable by itself.
    - ``drops_tensors``: some tensors keep the received model's values.
    - ``clips``: the norm of what leaves is bounded.
    - ``bounds_values``: every value of what leaves is bounded, which bounds no norm by itself.
    - ``adds_noise``: what leaves is not what was computed.
    - ``noise_needs_clip``: its noise protects nothing unless the norm was bounded before.
    - ``scales``: it changes the weight that an update has against others.
    - ``sends_control_variates``: it sends control variates beside the weights.
    - ``sends_differences``, ``sends_weights``: what its update holds, whatever its arguments.

    Of a workflow:

    - ``one_at_a_time``: a round is one client's turn, and closes with its update.
    - ``asynchronous``: clients are not asked in rounds.
    - ``stale_bases``: a round may hold updates that were made from older models than its own,
      scaled down for it.
    """

    NEEDS_EACH_UPDATE = "needs_each_update"
    COMPARES_UPDATES = "compares_updates"
    COUNTS_SAMPLING = "counts_sampling"
    SCALES_BY_SAMPLES = "scales_by_samples"
    SUMS = "sums"
    COMPOSES = "composes"
    UNMASKS = "unmasks"
    KEEPS_STATE = "keeps_state"
    CONTROL_VARIATES = "control_variates"
    MASKS = "masks"
    DROPS_TENSORS = "drops_tensors"
    CLIPS = "clips"
    BOUNDS_VALUES = "bounds_values"
    ADDS_NOISE = "adds_noise"
    NOISE_NEEDS_CLIP = "noise_needs_clip"
    SCALES = "scales"
    SENDS_CONTROL_VARIATES = "sends_control_variates"
    SENDS_DIFFERENCES = "sends_differences"
    SENDS_WEIGHTS = "sends_weights"
    ONE_AT_A_TIME = "one_at_a_time"
    ASYNCHRONOUS = "asynchronous"
    STALE_BASES = "stale_bases"


def tags_of(extras: Mapping[str, Any], args: Mapping[str, Any]) -> frozenset[str]:
    """Return the tags that hold for a component with these arguments.

    A tag is a string, or ``{"tag": TAG, "if": ARGUMENT}``: it then holds if that argument is
    given and neither null, false, 0 nor empty; ``{"tag": TAG, "if": ARGUMENT, "is": VALUE}`` if
    it has that value.

    Args:
        extras: Of the component's description.
        args: Its arguments, defaults filled in.
    """
    held = set()
    for one in extras.get("tags", ()):
        if isinstance(one, str):
            held.add(one)
            continue
        value = args.get(one["if"])
        if (value == one["is"]) if "is" in one else bool(value):
            held.add(one["tag"])
    return frozenset(held)


def least_clients(extras: Mapping[str, Any], args: Mapping[str, Any]) -> int:
    """Return for how many clients an algorithm is defined at the least; 1 if it states nothing.

    ``extras["min_clients"]`` is ``{"base": B, "per": {ARGUMENT: TIMES, ...}}``: B plus each
    argument times its factor, as 3 + 2 f for Krum.

    Args:
        extras: Of the component's description.
        args: Its arguments, defaults filled in.
    """
    stated = extras.get("min_clients")
    if stated is None:
        return 1
    per: Mapping[str, int] = stated.get("per", {})
    return int(stated["base"]) + sum(int(args.get(name) or 0) * k for name, k in per.items())
