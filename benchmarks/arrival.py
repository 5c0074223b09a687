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

    from plan import Plan
    from tls import Trusted

_LIMIT: Final = 120.0
_PARTS: Final = 10
_STEPS: Final = (Topic.PACKAGE_RECEIVED, Topic.REGISTERED, Topic.MODEL_RECEIVED, Topic.TRAINED)


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
        bare, imports = [], []
        steps: list[dict[Topic, float]] = []
        with tempfile.TemporaryDirectory(prefix="bench-arrival-") as name:
            folder = Path(name)
            mmar = self._deployed(folder, trusted)
            for number in range(1, repeats + 1):
                bare += ours.cold_start("-c", "pass", repeats=1)
                imports += ours.cold_start("-c", self.imports, repeats=1)
                site = folder / str(number)
                steps.append(self._arrive(mmar, site, f"site-{number}", trusted))
        until = {topic: statistics.median(one[topic] for one in steps) for topic in _STEPS}
        totals = [one[Topic.TRAINED] for one in steps]
        own = [whole - start for whole, start in zip(imports, bare, strict=True)]
        beyond = [total - imported for total, imported in zip(totals, own, strict=True)]
        return {
            "total_s": statistics.median(totals),
            "slowest_s": max(totals),
            "imports_s": statistics.median(own),
            "beyond_s": statistics.median(beyond),
            "most_beyond_s": max(beyond),
            "until_s": {str(topic): seconds for topic, seconds in until.items()},
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

    def _arrive(self, mmar: Path, folder: Path, name: str, trusted: Trusted) -> dict[Topic, float]:
        """Return after how many seconds the client says each of the steps."""
        variables = {"NUM_ROUNDS": 1, "MIN_NUM_CLIENTS": 1, **self.variables}
        kits = trusted.kits
        with RunningServer(mmar, folder / "server", variables=variables, kit=kits.server) as server:
            port = server.address(timeout=_LIMIT).rpartition(":")[2]
            began = datetime.now(UTC)
            with RunningClient(
                *(None, f"localhost:{port}", name, folder / "clients"),
                variables=variables,
                kit=kits.client(name),
            ) as client:
                for process in (client, server):
                    if process.wait(timeout=_LIMIT):
                        raise RuntimeError(process.stderr)
        return {topic: (_when(client, topic) - began).total_seconds() for topic in _STEPS}


def _when(client: RunningClient, topic: Topic) -> datetime:
    """Return when a client first said something."""
    said = (json.loads(line) for line in client.stdout.splitlines())
    return next(datetime.fromisoformat(one["time"]) for one in said if one.get("topic") == topic)
