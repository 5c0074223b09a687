# SPDX-License-Identifier: Apache-2.0
"""Which seeds are tried, one of them, and how one that fails is tried again."""

from __future__ import annotations

import os
from dataclasses import dataclass

from tests.simulated_world import invariants
from tests.simulated_world.federation import Federation

#: How many seeds are tried if nobody says which.
SEEDS = 500
#: In how many parts, so that several processes can take some each.
PARTS = 10
_SHOWN = 40


@dataclass(frozen=True)
class Tried:
    """What came of one seed.

    Attributes:
        status: How the run ended.
        mixed: Whether some clients send differences.
        codec: In which codec updates travel.
        accepted: Who was added up, round by round.
        models: The models' digests, round by round.
        withdrawn: How many updates were accepted and had to be left out.
        removed: How many updates were accepted and left the round with their client.
        removals: How many clients were removed.
        given_again: How many tasks were given again that had not failed.
        passed: How many turns went on to another client.
        validated: How many cells of the cross-site matrix have a number.
        left_empty: How many have a reason instead.
        deaths: How many processes were killed.
        power_cuts: How many of them with their machine.
        gone_back: How often the run went back.
        bases: The rounds of whose models the updates were made, round by round.
    """

    status: str
    mixed: bool
    codec: str
    accepted: tuple[tuple[str, ...], ...]
    models: tuple[str, ...]
    withdrawn: int
    removed: int
    removals: int
    given_again: int
    passed: int
    validated: int
    left_empty: int
    deaths: int
    power_cuts: int
    gone_back: int
    bases: tuple[tuple[int, ...], ...]


def wanted() -> range:
    """Return the seeds that MMAR_RUNNER_SEEDS names: ``17`` or ``0:10000``."""
    first, _, last = os.environ.get("MMAR_RUNNER_SEEDS", f"0:{SEEDS}").partition(":")
    return range(int(first), int(last) if last else int(first) + 1)


def part(number: int) -> range:
    """Return one of the parts of the wanted seeds."""
    seeds = wanted()
    return range(seeds.start + number, seeds.stop, PARTS)


def tried(
    seed: int,
    aggregator: str = "FedAvg",
    *,
    round_robin: bool = False,
    cross_site: bool = False,
    buffered: bool = False,
) -> Tried:
    """Run a seed and hold the invariants against it.

    Args:
        seed: The seed.
        aggregator: As of `Federation`.
        round_robin: Likewise.
        buffered: Likewise.

    Raises:
        AssertionError: One of them does not hold; its notes say how to see it again.
    """
    variant = {"round_robin": round_robin, "cross_site": cross_site, "buffered": buffered}
    federation = Federation(seed, aggregator, **variant)
    try:
        federation.run()
        invariants.check(federation)
    except AssertionError as error:
        error.add_note(f"seed {seed}; the last that happened:")
        for at, who, what in federation.world.history[-_SHOWN:]:
            error.add_note(f"  {at:9.4f} {who:8} {what}")
        which = "goes_round" if round_robin else "nothing_is_lost"
        which = "every_cell" if cross_site else which
        where = f"tests/simulated_world -k {which}"
        error.add_note(f"replay: MMAR_RUNNER_SEEDS={seed} python -m pytest {where}")
        raise
    finally:
        federation.close()
    story = federation.story
    said = [what for _, _, what in federation.world.history]
    return Tried(
        federation.status,
        federation.mixed,
        federation.spec_of_server.update_codec,
        story.accepted_sets(),
        story.models(),
        len(story.withdrawn),
        len(story.removed),
        story.removals,
        len(story.given_again),
        len(federation.events("turn_passed")),
        sum(bool(one.data["metrics"]) for one in federation.events("cross_site_result")),
        sum(not one.data["metrics"] for one in federation.events("cross_site_result")),
        sum(what.startswith(("killed", "power cut")) for what in said),
        sum(what.startswith("power cut") for what in said),
        story.gone_back,
        story.bases(),
    )
