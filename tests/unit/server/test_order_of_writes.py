# SPDX-License-Identifier: Apache-2.0
"""What is on the disk before the journal says so, seen at the system's own calls.

A record of the journal must never speak of something that a machine that loses its power
would take back: neither bytes nor names, nor the names of the folders above them.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any

import pytest

from mmar_runner.storage.durability import Durability
from mmar_runner.storage.journal_table import JournalTable
from mmar_runner.testing.builders import MmarBuilder
from mmar_runner.testing.federation import Federation
from mmar_runner_echo.trainer import EchoTrainer

#: Larger than what travels inside a message, so that updates are spooled.
MODEL_MB = 0.2


@dataclass
class Calls:
    """Every call that writes, gives a name, syncs, or writes a record, in order.

    Attributes:
        named: Paths by the number of the call that gave them their name last.
        written: The numbers of the last writes, by inode.
        synced: Numbers of the calls that synced a file or folder, by inode.
        records: Kind and data of the journal's records, with their number.
    """

    named: dict[str, int] = field(default_factory=dict)
    written: dict[int, int] = field(default_factory=dict)
    synced: dict[int, list[int]] = field(default_factory=dict)
    synced_paths: list[str] = field(default_factory=list)
    records: list[tuple[int, str, str]] = field(default_factory=list)
    _count: int = 0
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def name(self, path: str) -> None:
        with self._lock:
            self._count += 1
            self.named[path] = self._count

    def sync(self, descriptor: int) -> None:
        with self._lock:
            self._count += 1
            self.synced.setdefault(os.fstat(descriptor).st_ino, []).append(self._count)
            self.synced_paths.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))

    def write(self, descriptor: int) -> None:
        with self._lock:
            self._count += 1
            self.written[os.fstat(descriptor).st_ino] = self._count

    def record(self, kind: str, data: str) -> None:
        with self._lock:
            self._count += 1
            self.records.append((self._count, kind, data))

    def first(self, kind: str, containing: str = "") -> int:
        """Return the number of the first record of a kind."""
        return next(n for n, found, data in self.records if found == kind and containing in data)

    def lacking(self, path: Path, base: Path, before: int) -> list[str]:
        """Return what of a file, its name and its folders' names is not on the disk."""
        missing = []
        given = self.named[str(path)]
        written = self.written.get(path.stat().st_ino, 0)
        if path.is_file() and not any(written < n < given for n in self.synced_of(path)):
            missing.append(f"the bytes of {path}")
        for one in (path, *path.parents):
            if one == base:
                return missing
            named = self.named[str(one)]
            if not any(named < n < before for n in self.synced_of(one.parent)):
                missing.append(f"the name of {one}")
        return missing

    def synced_of(self, path: Path) -> list[int]:
        return self.synced.get(path.stat().st_ino, [])


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    seen = Calls()

    def after(function: Callable[..., Any], note: Callable[..., None]) -> Callable[..., Any]:
        @wraps(function)
        def noted(*args: Any, **more: Any) -> Any:
            result = function(*args, **more)
            note(*args)
            return result

        return noted

    for call in ("replace", "rename", "link"):
        noted = after(getattr(os, call), lambda _, new, *__: seen.name(os.fspath(new)))
        monkeypatch.setattr(os, call, noted)
    monkeypatch.setattr(os, "mkdir", after(os.mkdir, lambda path, *_: seen.name(os.fspath(path))))
    monkeypatch.setattr(
        os, "pwrite", after(os.pwrite, lambda descriptor, *_: seen.write(descriptor))
    )
    for call in ("fsync", "fdatasync"):
        monkeypatch.setattr(os, call, after(getattr(os, call), seen.sync))
    write = JournalTable._write

    def recorded(table: JournalTable, work: Any) -> int:
        if hasattr(work, "kind"):
            seen.record(work.kind, work.data)
        return write(table, work)

    monkeypatch.setattr(JournalTable, "_write", recorded)
    return seen


class Judged(EchoTrainer):
    """Says that every model is better than the one before."""

    def train(self, task: Any) -> Any:
        result = super().train(task)
        result.validation["score"] = 1.0 + task.round
        return result


def run(folder: Path, durability: Durability, model_mb: float = MODEL_MB) -> Path:
    mmar = (
        MmarBuilder()
        .server(num_rounds=3)
        .model_persistor("EchoModelPersistor", size_mb=model_mb)
        .file("resources/table.csv", "1,2\n")
        .write(folder)
    )
    trainers = {name: Judged(0.5) for name in ("site-1", "site-2")}
    workspace = folder / "deep" / "ws"
    with Federation(
        mmar, workspace=workspace, trainers=trainers, durability=durability
    ) as federation:
        outcome = federation.run()
    assert outcome.status == "finished", outcome.reason
    return outcome.run_folder


def test_no_record_speaks_of_what_is_not_on_the_disk(
    calls: Calls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[list[str]] = []
    spool: list[str] = []

    def accepted(self: Any, current: Any, update: Any, data: Any) -> None:
        # Now, since the file has another name once its round is closed.
        updates = tmp_path / "deep/ws/run_1/updates"
        path = updates / f"round_{update.facts.round:04d}/{update.client}.safetensors"
        kept.append(calls.lacking(path, tmp_path, calls._count + 1))
        spool.append(path.name)
        accept(self, current, update, data)

    from mmar_runner.server.rounds.ledger import Ledger

    accept = Ledger.accept
    monkeypatch.setattr(Ledger, "accept", accepted)
    folder = run(tmp_path, Durability.FULL)

    begun = calls.first("run_started")
    models = folder / "models"
    assert "the name of" in "".join(calls.lacking(models / "final.safetensors", tmp_path, begun))
    lacking = calls.lacking(folder / "mmar", tmp_path, begun)
    lacking += calls.lacking(models / "final.safetensors", tmp_path, calls.first("run_ended"))
    lacking += calls.lacking(models / "best.safetensors", tmp_path, calls.first("run_ended"))
    for number in (2, 3):
        model = models / f"round_{number:04d}.safetensors"
        closed = calls.first("round_closed", f'"round":{number - 1}')
        lacking += calls.lacking(model, tmp_path, closed)
    assert lacking == []
    assert kept == [[]] * 6
    assert sorted(set(spool)) == ["site-1.safetensors", "site-2.safetensors"]


def test_a_run_begins_once_its_mmar_and_model_are_on_the_disk(
    calls: Calls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[str] = []
    write = JournalTable._write

    def begun(table: JournalTable, work: Any) -> int:
        if getattr(work, "kind", "") == "run_started":
            folder, now = tmp_path / "deep/ws/run_1", calls._count + 1
            found.extend(calls.lacking(folder / "models/round_0000.safetensors", tmp_path, now))
            for name in ("mmar", "updates", "logs"):
                found.extend(calls.lacking(folder / name, tmp_path, now))
            for path in (folder / "mmar").rglob("*"):
                found.extend([] if calls.synced_of(path) else [str(path)])
            found.append("seen")
        return write(table, work)

    monkeypatch.setattr(JournalTable, "_write", begun)
    run(tmp_path, Durability.FULL)
    assert found == ["seen"]


@pytest.mark.parametrize("model_mb", [0.01, MODEL_MB])
def test_nothing_of_a_run_is_synced_if_only_the_process_may_die(
    calls: Calls, tmp_path: Path, model_mb: float
) -> None:
    folder = run(tmp_path, Durability.PROCESS, model_mb)
    assert [path for path in calls.synced_paths if path.startswith(str(folder))] == []
