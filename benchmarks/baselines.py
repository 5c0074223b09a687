# SPDX-License-Identifier: Apache-2.0
"""What the demonstration is compared with: each hospital alone, and all data pooled.

The same trainer in the same kind of child process, the same first model, the same
number of epochs; only nobody shares anything, or everybody shares everything. All
models are measured alike, on the union of what the hospitals hold out.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from mmar_runner.children.process import ChildProcess
from mmar_runner.children.spec import ChildSpec
from mmar_runner.errors import MmarInvalidError
from mmar_runner.federation.seeds import derive_seed
from mmar_runner.hooks import load_plugins
from mmar_runner.mmar.validation import validate

if TYPE_CHECKING:
    from mmar_runner.mmar.spec import MmarSpec

Part = TypeVar("Part")

#: The trainer that has the data of all hospitals.
POOLED = "pooled"


@dataclass(frozen=True, slots=True)
class Measured:
    """One model, measured on the union of the held-out cases.

    Attributes:
        who: Who trained it.
        samples: Cases it was trained on.
        auc: Area under the ROC curve, 0 to 1.
        accuracy: Share of right answers, 0 to 1.
    """

    who: str
    samples: int
    auc: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """The comparison of one federation with its baselines.

    Attributes:
        mmar: The MMAR's folder.
        hospitals: How many there are.
        seed: The run's seed.
        settings: The ``--set`` values of the federation.
        first_model: The model that the federation began with.
        final_model: The one it ended with.
        samples: Cases the federation trained on.
        folder: Where to work.
    """

    mmar: Path
    hospitals: int
    seed: int
    settings: Mapping[str, Any]
    first_model: Path
    final_model: Path
    samples: int
    folder: Path

    def run(self) -> list[Measured]:
        """Return every hospital alone, the federation, and the pooled model, in this order."""
        return asyncio.run(self._run())

    async def _run(self) -> list[Measured]:
        spec = ChildSpec(role="client_trainer")
        child = await ChildProcess.start(spec, log=self.folder / "baselines.log")
        try:
            await self._set_up(child, POOLED, "site-1", pooled=True)
            results = []
            for number in range(1, self.hospitals + 1):
                name = f"site-{number}"
                await self._set_up(child, name, name, pooled=False)
                model, samples = await self._train(child, name)
                results.append(await _measured(child, f"hospital {number} alone", model, samples))
            model, samples = self.final_model, self.samples
            results.append(await _measured(child, "the federation", model, samples))
            model, samples = await self._train(child, POOLED)
            results.append(await _measured(child, "all data pooled", model, samples))
            return results
        finally:
            await child.close()

    async def _set_up(self, child: ChildProcess, name: str, client: str, *, pooled: bool) -> None:
        """Let the child build the trainer that a client of that name would have."""
        settings = {**self.settings, "POOLED": pooled}
        spec = self._validated("client", client, settings)
        (self.folder / name / "state").mkdir(parents=True, exist_ok=True)
        context = {
            "client_name": name,
            "mmar": str(spec.root),
            "workspace": str(self.folder / name),
            "train_config": dict(spec.train_config),
            "variables": dict(spec.variables),
        }
        component = dict(_there(spec.client, "client").client_trainer.declaration)
        await child.request("setup", {"client": name, "component": component, "context": context})

    async def _train(self, child: ChildProcess, name: str) -> tuple[Path, int]:
        """Train as many rounds as the federation did, on one's own; return the last model."""
        folder = self.folder / name
        model, update = folder / "model.safetensors", folder / "update.safetensors"
        shutil.copyfile(self.first_model, model)
        rounds, samples = self._rounds(), 0
        for number in range(rounds):
            task = {
                "client": name,
                "run_number": 1,
                "round": number,
                "num_rounds": rounds,
                "seed": derive_seed(self.seed, name, number),
                "model": str(model),
                "update": str(update),
                "state": str(folder / "state"),
                "new_state": str(folder / "state"),
            }
            answer = await child.request("train", task)
            samples = int(answer["num_samples"])
            model, update = update, model
        return model, samples

    def _rounds(self) -> int:
        spec = self._validated("server", "site-1", self.settings)
        return _there(spec.server, "server").num_rounds

    def _validated(self, side: Any, client: str, settings: Mapping[str, Any]) -> MmarSpec:
        catalog = load_plugins().registry
        result = validate(self.mmar, catalog, side=side, settings=settings, client_name=client)
        return _there(result.spec, "usable configuration")


def _there(value: Part | None, what: str) -> Part:
    if value is None:
        raise MmarInvalidError(f"the MMAR has no {what}")
    return value


async def _measured(child: ChildProcess, who: str, model: Path, samples: int) -> Measured:
    # The trainer of the pooled data holds out the union of what the hospitals hold out.
    answer = await child.request("validate", {"client": POOLED, "model": str(model)})
    metrics = answer["metrics"]
    return Measured(who, samples, metrics["val_auc"], metrics["val_accuracy"])
