# SPDX-License-Identifier: Apache-2.0
"""What cases share: MMARs, kits, scenes, and the models of undisturbed runs."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmar_runner.cli.main import main
from mmar_runner.interfaces.observer import Topic
from mmar_runner.testing.builders import MmarBuilder
from mmar_runner.testing.kits import Kits, make_kits
from tests.faults.oracle import Story, judge
from tests.faults.scene import Scene

LEAD = "lead@example.org"
SITES = ("site-1", "site-2", "site-3")
TWO = SITES[:2]
#: What every scene begins with. A lease of 30 s is a nominal one; cases that wait for its
#: end take a shorter one.
VARIABLES: dict[str, Any] = {
    "NUM_ROUNDS": 4,
    "MIN_NUM_CLIENTS": 2,
    "MODEL_MB": 3,
    "NOISE": 0.01,
    "SECONDS": 0,
    "LEASE": 30,
    "WAIT": 30,
    "FAIL_IN_ROUND": -1,
    "BEHAVIOUR": "raise",
    "FAIL_TIMES": 0,
    "MAX_WAIT": 600,
}
#: Rounds of a run that is compared with, at least; those of fewer rounds are its first ones.
_REFERENCE_ROUNDS = 8


@dataclass(slots=True)
class Arena:
    """Where cases are played, one after the other.

    Args:
        folder: For everything; each scene has a folder of its own in it.
        nominal: Whether durations are those of the facts.
    """

    folder: Path
    nominal: bool = False
    _count: int = 0
    _kits: Kits | None = None
    _references: dict[tuple[Any, ...], list[str]] = field(default_factory=dict)

    def duration(self, scaled: float, nominal: float) -> float:
        """Return how long something takes here, in seconds."""
        return nominal if self.nominal else scaled

    @property
    def kits(self) -> Kits:
        """The kits of a project with three sites."""
        if self._kits is None:
            self._kits = make_kits(self.folder / "project", clients=SITES)
        return self._kits

    def fresh_kits(self, folder: Path) -> Kits:
        """Return kits that a case may change."""
        return make_kits(folder / "project", clients=SITES)

    def mmar(self, kind: str = "echo", *, kits: Kits | None = None) -> Path:
        """Return an MMAR: ``echo``; ``limited``, which does not wait for ever; or ``carry``,
        whose trainer keeps a state.

        Args:
            kind: Which.
            kits: Whose lead signs it; None leaves it unsigned.
        """
        parent = self.folder / "mmars" if kits is None else kits.project_file.parent / "mmars"
        if not (parent / f"faults-{kind}").exists():
            path = _builder(kind).write(parent)
            if kits is not None:
                sign(path, kits)
        return parent / f"faults-{kind}"

    @contextmanager
    def scene(
        self,
        *,
        kind: str = "echo",
        tls: bool = False,
        kits: Kits | None = None,
        durability: str = "process",
        folder: Path | None = None,
        **variables: Any,
    ) -> Iterator[Scene]:
        """Yield a scene in which nothing runs yet; its processes end with the block."""
        self._count += 1
        folder = folder or self.folder / f"scene-{self._count}"
        folder.mkdir(parents=True, exist_ok=True)
        if tls and kits is None:
            kits = self.kits
        with ExitStack() as stack:
            scene = Scene(
                folder,
                self.mmar(kind, kits=kits),
                stack,
                variables={**VARIABLES, **variables},
                kits=kits,
                durability=durability,
            )
            if kind == "carry":
                scene.client_options = ("--allow-byoc",)
            yield scene

    def reference(self, scene: Scene, clients: Sequence[str] = TWO) -> list[str]:
        """Return the digests of an undisturbed run in which these clients take part."""
        kind = scene.mmar.name.removeprefix("faults-")
        size = scene.variables["MODEL_MB"]
        key = (kind, size, tuple(clients))
        rounds = scene.variables["NUM_ROUNDS"]
        if len(self._references.get(key, ())) < rounds:
            wanted = max(rounds, _REFERENCE_ROUNDS)
            self._references[key] = self._run_calmly(kind, size, clients, wanted)
        return self._references[key][:rounds]

    def _run_calmly(self, kind: str, size: float, clients: Sequence[str], rounds: int) -> list[str]:
        counts = {"MIN_NUM_CLIENTS": len(clients), "NUM_ROUNDS": rounds}
        with self.scene(kind=kind, MODEL_MB=size, **counts) as calm:
            calm.serve()
            for name in clients:
                calm.join(name)
            calm.finish()
            return calm.hashes()

    def undisturbed(self, scene: Scene, clients: Sequence[str] = TWO) -> Story:
        """Judge a finished run that must have the models of an undisturbed one.

        Raises:
            AssertionError: A rule was broken, or the models are others.
        """
        story = judged(scene)
        wanted = {number: set(clients) for number in range(scene.variables["NUM_ROUNDS"])}
        found = {number: set(of_round) for number, of_round in story.accepted.items()}
        assert found == wanted, f"{found} were counted"
        assert scene.hashes() == self.reference(scene, clients), "the models are others"
        return story


def judged(scene: Scene, *, finished: bool = True) -> Story:
    """Judge what a run has left so far by the rules of `oracle`.

    Raises:
        AssertionError: A rule was broken.
    """
    receipts = {name: scene.observed(name, Topic.SUBMITTED) for name in scene.clients}
    return judge(scene.workspace / "run_1", receipts=receipts, finished=finished)


def sign(mmar: Path, kits: Kits) -> None:
    """Sign an MMAR as its lead does."""
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
        main(["sign-mmar", str(mmar), "--kit", str(kits.admin(LEAD))])


def trained(scene: Scene, name: str) -> Mapping[int, int]:
    """Return how often a client began to train each round."""
    rounds = [data["round"] for data in scene.observed(name, Topic.TRAINING)]
    return {number: rounds.count(number) for number in rounds}


def _builder(kind: str) -> MmarBuilder:
    arguments = {
        "constant": "{SITE_INDEX}",
        "noise": "{NOISE}",
        "seconds": "{SECONDS}",
        "fail_in_round": "{FAIL_IN_ROUND}",
        "behaviour": "{BEHAVIOUR}",
        "fail_times": "{FAIL_TIMES}",
    }
    builder = (
        MmarBuilder(f"faults-{kind}", task="faults")
        .server(heart_beat_timeout="{LEASE}", wait_after_min_clients="{WAIT}")
        .model_persistor("EchoModelPersistor", size_mb="{MODEL_MB}", arrays=20)
        .variables(**VARIABLES)
    )
    if kind == "limited":
        builder.top_level(max_wait="{MAX_WAIT}")
    if kind == "carry":
        code = Path(__file__).with_name("carry_trainer.py").read_bytes()
        builder.file("custom/carry_trainer.py", code)
        return builder.trainer("carry_trainer.CarryTrainer", **arguments)
    return builder.trainer("EchoTrainer", **arguments)


def summary_of(scene: Scene) -> dict[str, Any]:
    """Return what ``summary.json`` says now."""
    path = scene.workspace / "run_1" / "summary.json"
    found: dict[str, Any] = json.loads(path.read_text())
    return found
