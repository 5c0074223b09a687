# SPDX-License-Identifier: Apache-2.0
"""A tree of combiners beside the flat federation of the same sessions: model, traffic, seconds."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import ours
from federations import generator
from mmar_runner.interfaces.observer import Topic
from mmar_runner.testing.processes import RunningCombiner, RunningServer
from relay import counting

if TYPE_CHECKING:
    from plan import Plan
    from relay import Counted

#: No run takes longer, in seconds.
_LIMIT: Final = 600.0
#: By how much the updates of sessions differ: what is summed depends on all of them.
_NOISE: Final = 0.5
#: For the count of a socket's bytes: a model beside which what is said of it is little.
_TRAFFIC_MB: Final = 1.0
_TRAFFIC_ROUNDS: Final = 6
_FLOAT32, _FLOAT64 = 4, 8


@dataclass(frozen=True, slots=True)
class Ran:
    """What a federation left.

    Attributes:
        seconds: Of every round after the first, as the root counted them.
        models: The digest of every round's model.
        down: Bytes of models that the root sent, a round.
        up: Bytes of updates or sums that it took, a round.
        elements: Numbers of the model.
        socket: What its sockets carried in all, if that was counted.
    """

    seconds: list[float]
    models: list[str]
    down: list[int]
    up: list[int]
    elements: int
    socket: Counted | None = None

    @property
    def round_seconds(self) -> float:
        """Median seconds of a round after the first."""
        return statistics.median(self.seconds)


@dataclass(frozen=True, slots=True)
class TreeBesideFlat:
    """A case: a root with combiners and sessions below them, and a root with the sessions alone.

    Attributes:
        combiners: How many combiners, each a process.
        sessions: Below each of them; they share a process that generates load.
        rounds: Rounds, the first included, unless the plan says otherwise.
        repeats: Turns of both, unless the plan says otherwise.
        model_mb: Megabytes of the model.
    """

    combiners: int
    sessions: int
    rounds: int
    repeats: int
    model_mb: float = 0.01

    def __call__(self, plan: Plan) -> dict[str, Any]:
        """Measure the case; flat and tree take turns."""
        rounds = plan.rounds or self.rounds
        figures: dict[str, Any] = {}
        same = True
        for durability in ("full", "process"):
            flats, trees = [], []
            for _ in range(plan.repeats or self.repeats):
                flats.append(self.run(rounds, durability, combiners=0))
                trees.append(self.run(rounds, durability, combiners=self.combiners))
            same &= len({tuple(ran.models) for ran in (*flats, *trees)}) == 1
            figures[durability] = _beside(flats, trees)
        heavy = min(rounds, _TRAFFIC_ROUNDS)
        tree = self.run(heavy, "process", self.combiners, _TRAFFIC_MB, count=True)
        flat = self.run(heavy, "process", 0, _TRAFFIC_MB, count=True)
        figures["final_sha256"] = trees[0].models[-1]
        return {
            "same_models": float(same and tree.models == flat.models),
            "traffic": _traffic(trees[0]),
            "traffic_1MB": {**_traffic(tree), "flat": _sockets(flat)},
            **figures,
        }

    def run(
        self,
        rounds: int,
        durability: str,
        combiners: int,
        model_mb: float | None = None,
        *,
        count: bool = False,
    ) -> Ran:
        """Run a federation of all sessions once.

        Args:
            rounds: How many rounds.
            durability: ``process`` or ``full``, of root and combiners.
            combiners: How many combiners stand between; 0 lets the sessions come to the root.
            model_mb: Megabytes of the model; None takes the case's.
            count: Count what the root's sockets carry, by a relay before it.
        """
        with tempfile.TemporaryDirectory(prefix="bench-tree-") as name, ExitStack() as stack:
            folder = Path(name)
            values = {"NUM_ROUNDS": rounds, "MODEL_MB": model_mb or self.model_mb}
            members = combiners or self.combiners * self.sessions
            limits = {"MIN_NUM_CLIENTS": members, "MAX_NUM_CLIENTS": max(members, 2)}
            options = ("--durability", durability)
            variables = {**values, **limits}
            root = RunningServer(ours.ECHO, folder / "root", *options, variables=variables)
            stack.enter_context(root)
            address, counted = root.address(timeout=_LIMIT), None
            if count:
                counted = stack.enter_context(counting(address))
                address = counted.target
            below = [
                stack.enter_context(self._combiner(index, address, folder, options, values))
                for index in range(combiners)
            ]
            self._sit_out(root, below, [one.address for one in below] or [lambda: address])
            return _ran(root, counted)

    def _combiner(
        self, index: int, parent: str, folder: Path, options: Sequence[str], values: dict[str, Any]
    ) -> RunningCombiner:
        own = ("--min-clients", str(self.sessions), *options)
        limits = {"MAX_NUM_CLIENTS": max(self.sessions, 2)}
        name = f"combiner-{index + 1}"
        return RunningCombiner(
            ours.ECHO, parent, name, folder, *own, variables={**values, **limits}
        )

    def _sit_out(
        self,
        root: RunningServer,
        below: Sequence[RunningCombiner],
        places: Sequence[Callable[[], str]],
    ) -> None:
        """Let the sessions come, and wait until everybody has ended well."""
        generators = []
        try:
            for index in range(self.combiners):
                target = places[index % len(places)]()
                first = 1 + index * self.sessions
                generators.append(generator(first, self.sessions, None, target, _NOISE))
            for process in (root, *below):
                if process.wait(timeout=_LIMIT):
                    raise RuntimeError(process.stderr)
            for load in generators:
                load.wait(timeout=60)
        finally:
            for load in generators:
                if load.alive:
                    load.kill()


def _beside(flats: Sequence[Ran], trees: Sequence[Ran]) -> dict[str, float]:
    flat, tree = (
        statistics.median(second for ran in runs for second in ran.seconds)
        for runs in (flats, trees)
    )
    return {"flat_s": flat, "tree_s": tree, "ratio": tree / flat}


def _ran(root: RunningServer, counted: Counted | None) -> Ran:
    rounds = root.summary()["rounds"]
    if root.summary()["status"] != "finished":
        raise RuntimeError(root.stderr)
    sent = root.observations(Topic.MODEL_SENT)
    numbers = [entry["round"] for entry in rounds]
    model = (root.workspace / "run_1" / "models" / "final.safetensors").read_bytes()
    return Ran(
        seconds=[entry["seconds"] for entry in rounds[1:]],
        models=[entry["model_sha256"] for entry in rounds],
        down=[sum(one["bytes"] for one in sent if one["round"] == n) for n in numbers],
        up=[entry["received_wire_bytes"] for entry in rounds],
        elements=(len(model) - 8 - int.from_bytes(model[:8], "little")) // _FLOAT32,
        socket=counted,
    )


def _traffic(tree: Ran) -> dict[str, float]:
    """Return the root's bytes a round beside models and sums as they are without a header."""
    return {
        "down_bytes": max(tree.down),
        "up_bytes": max(tree.up),
        "models_down": max(tree.down) / (tree.elements * _FLOAT32),
        "sums_up": max(tree.up) / (tree.elements * _FLOAT64),
        **_sockets(tree),
    }


def _sockets(ran: Ran) -> dict[str, float]:
    if ran.socket is None:
        return {}
    rounds = len(ran.models)
    down, up = ran.socket.down / rounds, ran.socket.up / rounds
    return {
        "socket_down_bytes": down,
        "socket_up_bytes": up,
        "socket_models_down": down / (ran.elements * _FLOAT32),
        "socket_sums_up": up / (ran.elements * _FLOAT64),
    }
