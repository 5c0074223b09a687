# SPDX-License-Identifier: Apache-2.0
"""Runs that never were, written as a server writes them."""

from __future__ import annotations

import json
import math
import random
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from mmar_runner.storage.durability import Durability
from mmar_runner.storage.journal_table import JournalTable, NewEvent, encoded

ROOT = Path(__file__).parents[3]
BEGUN = 1_795_877_508.0
DIGEST = "ab" * 32
MODEL = "cd" * 32


class WrittenRun:
    """A run's folder, to whose journal a test appends."""

    def __init__(self, folder: Path, *, mmar: str | None = "echo") -> None:
        self.folder = folder
        self.time = BEGUN
        folder.mkdir(parents=True)
        (folder / "logs").mkdir()
        if mmar is not None:
            shutil.copytree(ROOT / "mmars" / mmar, folder / "mmar")
        self._table = JournalTable(folder / "journal.db", Durability.PROCESS)
        self._batch: list[NewEvent] = []

    def add(self, event: str, /, **data) -> None:
        self.time += 0.01
        self._batch.append(NewEvent(self.time, event, encoded(data), None))
        if len(self._batch) >= 5_000:
            self.flush()

    def flush(self) -> None:
        self._table.write(self._batch)
        self._batch.clear()

    def close(self) -> None:
        self.flush()
        self._table.close()

    def start(self, name: str = "echo", **data) -> None:
        identity = {"mmar": DIGEST, "settings": {"NUM_ROUNDS": 4}, "plugins": {"fedavg": "1.0"}}
        facts = {"digest": "ef" * 32, "identity": identity, "seed": 7, "round": 0}
        facts |= {"run_number": 1, "mmar": name, "model_sha256": MODEL, "epoch": "e"} | data
        self.add("run_started", **facts)

    def register(self, *names: str, fingerprint: str = "", host: str = "ipv4:127.0.0.1") -> None:
        for name in names:
            facts = {"key_sha256": "0" * 64, "mmar_digest": DIGEST, "fingerprint": fingerprint}
            self.add("client_registered", client=name, host=host, **facts)

    def open(self, number: int, names: Sequence[str]) -> None:
        self.add("round_opened", round=number, participants=list(names), model_sha256=MODEL)

    def update(self, number: int, name: str, **facts) -> dict:
        update = {"client": name, "sha256": MODEL, "round": number, "bytes": 2048}
        update |= {"num_samples": 10.0, "kind": "weights", "metrics": {"train_loss": 0.5}}
        update |= {"validation": {"val_auc": 0.8}, "seconds_train": 1.5, "seconds_upload": 0.01}
        update |= {"inline": True} | facts
        self.add("update_accepted", **update)
        return update

    def close_round(self, number: int, updates: Sequence[dict], **summary) -> None:
        contributions = [
            {
                **{key: one[key] for key in ("client", "num_samples", "bytes")},
                **{key: one[key] for key in ("seconds_train", "seconds_upload")},
                "weight": one["num_samples"],
                **({"staleness": one["staleness"]} if "staleness" in one else {}),
            }
            for one in updates
        ]
        told = {"round": number, "seconds": 2.0, "contributions": contributions, "rejected": []}
        told |= {"metrics": mean(updates), "model_sha256": MODEL} | summary
        best = {"round": max(0, number - 1), "score": told["metrics"].get("val_auc", 0.0)}
        self.add("round_closed", round=number, summary=told, wall_seconds=2.0 + number, best=best)

    def round(self, number: int, names: Sequence[str], **facts) -> None:
        self.open(number, names)
        self.close_round(number, [self.update(number, name, **facts) for name in names])

    def end(self, status: str = "finished", reason: str = "") -> None:
        self.add("run_ended", status=status, reason=reason, wall_seconds=12.5)


def mean(updates: Sequence[dict]) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for one in updates:
        for name, value in {**one["metrics"], **one["validation"]}.items():
            found.setdefault(name, []).append(value)
    return {name: sum(values) / len(values) for name, values in found.items()}


@contextmanager
def written(folder: Path, **settings) -> Iterator[WrittenRun]:
    run = WrittenRun(folder, **settings)
    try:
        yield run
    finally:
        run.close()


def long_run(folder: Path, rounds: int, sites: int, seed: int = 0) -> None:
    """Write a run whose curves look like those of a training."""
    chance = random.Random(seed)
    names = [f"site-{at}" for at in range(1, sites + 1)]
    talent = {name: chance.uniform(0.8, 1.2) for name in names}
    with written(folder) as run:
        run.start()
        run.register(*names)
        for number in range(rounds):
            run.open(number, names)
            updates = []
            for name in names:
                loss = talent[name] * math.exp(-3 * number / rounds) + chance.gauss(0, 0.03)
                metrics = {"train_loss": loss}
                validation = {"val_auc": 1 - loss / 2, "val_loss": loss * 1.1}
                facts = {"metrics": metrics, "validation": validation}
                facts |= {"seconds_train": chance.uniform(1, 3), "num_samples": 100.0}
                updates.append(run.update(number, name, **facts))
            run.close_round(number, updates)
        run.end()


def troubled_run(folder: Path) -> None:
    """Write a run in which everything happened that may."""
    names = ["Charité", "site-2", "site-10"]
    with written(folder) as run:
        run.start()
        run.register(*names, fingerprint="1" * 64)
        run.round(0, names)
        run.round(1, names)
        lost = {"file": "round_0002.safetensors", "reason": "damaged", "expected": MODEL}
        run.add("checkpoint_lost", round=2, found="", kept=["site-2"], epoch="f", **lost)
        run.add("run_resumed", wall_seconds=4.0)
        run.open(1, names)
        why = {"reason": "NON_FINITE", "message": "tensor 'w' holds NaN"}
        run.add("update_refused", client="site-10", round=1, **why)
        failed = {"reason": "TASK_FAILED", "message": "CUDA out of memory"}
        run.add("task_failed", client="Charité", round=1, **failed)
        again = [run.update(1, "Charité", num_samples=30.0), {**_kept("site-2")}]
        run.close_round(1, again, rejected=[{"client": "site-10", "reason": "NON_FINITE: NaN"}])
        event = {"component": "the handler Mail", "event": "ROUND_STARTED"}
        run.add("component_failed", round=1, message="no mail server", **event)
        run.add("component_failed", round=2, message="still none", **event)
        run.add("run_retried", epoch="g", wall_seconds=9.0)
        run.end("failed", "round 2 needs 3 updates; TASK_FAILED: CUDA out of memory")
    matrices = folder / "cross_site_validation"
    matrices.mkdir()
    cells = {
        site: {owner: {"val_auc": 0.7 + 0.1 * at + 0.05 * other} for at, owner in enumerate(names)}
        for other, site in enumerate(names)
    }
    (matrices / "results.json").write_text(json.dumps(cells))


def _kept(name: str) -> dict:
    facts = {"client": name, "num_samples": 10.0, "bytes": 2048, "seconds_train": 1.5}
    return {**facts, "seconds_upload": 0.01, "metrics": {"train_loss": 0.5}, "validation": {}}
