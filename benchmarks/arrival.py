# SPDX-License-Identifier: Apache-2.0
"""A new client, which has its kit and nothing else: how soon its trainer's first round is done.

The server deploys a signed MMAR of some size. The time is from the start of ``run-client --kit``,
which fetches, verifies, unpacks and judges it, to what it says once its trainer has done the first
task: somewhat later than that one's first step. Beside it stands what the framework's imports alone
take in a fresh process, in turns.
"""

from __future__ import annotations

import json
import random
import resource
import shutil
import statistics
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import ours
from mmar_runner.interfaces.observer import Topic
from mmar_runner.testing.processes import RunningClient, RunningServer
from tls import sign

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mmar_runner.testing.processes import RunningProgram
    from plan import Plan
    from tls import Trusted

_LIMIT: Final = 120.0
_PARTS: Final = 10
_STEPS: Final = (Topic.PACKAGE_RECEIVED, Topic.REGISTERED, Topic.MODEL_RECEIVED, Topic.TRAINED)


@dataclass(frozen=True, slots=True)
class _Arrived:
    """One client.

    Attributes:
        until: Seconds from its start to each of the steps.
        imports_s: What its trainer's imports took just before, by themselves.
        cpu_s: What it and its trainer took of the processors until they had ended.
    """

    until: Mapping[Topic, float]
    imports_s: float
    cpu_s: float

    @property
    def total_s(self) -> float:
        """Seconds until the first round was trained."""
        return self.until[Topic.TRAINED]


@dataclass(frozen=True, slots=True)
class Arrival:
    """A case: a new client takes a package and trains.

    Attributes:
        sample: Which of the sample MMARs, from `mmars/`.
        megabytes: What is added to it, as checkpoints that no compression makes smaller.
        imports: What its trainer imports, as Python.
        variables: What server and client are told with ``--set``.
        repeats: How many new clients, one after the other, unless the plan says otherwise.
    """

    sample: str
    megabytes: int
    imports: str
    variables: Mapping[str, Any]
    repeats: int = 5

    def __call__(self, plan: Plan) -> dict[str, Any]:
        """Measure the case; each client is another one, at a server of its own."""
        repeats = plan.repeats or self.repeats
        trusted = plan.keys.project(repeats)
        with tempfile.TemporaryDirectory(prefix="bench-arrival-") as name:
            folder = Path(name)
            mmar = self._deployed(folder, trusted)
            names = [f"site-{number}" for number in range(1, repeats + 1)]
            arrived = [self._arrive(mmar, folder / one, one, trusted) for one in names]
        beyond = [one.total_s - one.imports_s for one in arrived]
        return {
            "total_s": statistics.median(one.total_s for one in arrived),
            "slowest_s": max(one.total_s for one in arrived),
            "imports_s": statistics.median(one.imports_s for one in arrived),
            "beyond_s": statistics.median(beyond),
            "most_beyond_s": max(beyond),
            "cpu_s": statistics.median(one.cpu_s for one in arrived),
            "until_s": {
                str(topic): statistics.median(one.until[topic] for one in arrived)
                for topic in _STEPS
            },
        }

    def _deployed(self, folder: Path, trusted: Trusted) -> Path:
        """Make the MMAR, grown to its size and signed."""
        unwanted = shutil.ignore_patterns("__pycache__")
        sample = ours.ROOT / "mmars" / self.sample
        mmar = Path(shutil.copytree(sample, folder / self.sample, ignore=unwanted))
        models, chance = mmar / "models", random.Random(0)
        models.mkdir()
        for index in range(_PARTS):
            content = chance.randbytes(self.megabytes * 1_000_000 // _PARTS)
            (models / f"part_{index}.safetensors").write_bytes(content)
        sign(mmar, trusted.kits)
        return mmar

    def _arrive(self, mmar: Path, folder: Path, name: str, trusted: Trusted) -> _Arrived:
        """Let one client come to a server that waits for it, and follow it to its end."""
        imports_s = self._imports_s()
        variables = {"NUM_ROUNDS": 1, "MIN_NUM_CLIENTS": 1, **self.variables}
        kits = trusted.kits
        with RunningServer(mmar, folder / "server", variables=variables, kit=kits.server) as server:
            port = server.address(timeout=_LIMIT).rpartition(":")[2]
            began, used = datetime.now(UTC), _processor_seconds()
            with RunningClient(
                *(None, f"localhost:{port}", name, folder / "clients"),
                variables=variables,
                kit=kits.client(name),
            ) as client:
                _wait(client)
                used = _processor_seconds() - used
                _wait(server)
        until = {topic: (_when(client, topic) - began).total_seconds() for topic in _STEPS}
        return _Arrived(until, imports_s, used)

    def _imports_s(self) -> float:
        """Return what the imports take in a fresh process, beyond an empty interpreter."""
        (bare,) = ours.cold_start("-c", "pass", repeats=1)
        (imports,) = ours.cold_start("-c", self.imports, repeats=1)
        return imports - bare


def _wait(process: RunningProgram) -> None:
    if process.wait(timeout=_LIMIT):
        raise RuntimeError(process.stderr)


def _processor_seconds() -> float:
    """Return what all processes have used that were started here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _when(client: RunningClient, topic: Topic) -> datetime:
    """Return when a client first said something."""
    said = (json.loads(line) for line in client.stdout.splitlines())
    return next(datetime.fromisoformat(one["time"]) for one in said if one.get("topic") == topic)
