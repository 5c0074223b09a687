# SPDX-License-Identifier: Apache-2.0
"""Seeds of the targets of MMARs, of runs on the disk, and of what processes say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from mmar_runner.children.descriptions import facts_to_json
from mmar_runner.client.files.pending import PendingUpdate
from mmar_runner.interfaces.network_facts import NetworkFacts, TensorFacts
from mmar_runner.security.audit.log import AuditLog
from mmar_runner.storage.journal import Journal
from tests.fuzz.folders import as_bytes
from tests.fuzz.target import HERE
from tests.updates import accepted, facts

_SHA: Final = "ab" * 32
_MMARS: Final = HERE.parent.parent / "mmars"
_SUMMARY: Final = {"round": 0, "model_sha256": _SHA, "accepted": ["site-1"]}
_EVENTS: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("run_started", {"digest": "d", "seed": 1, "round": 0, "model_sha256": _SHA, "epoch": "e"}),
    ("client_registered", {"client": "site-1", "key_sha256": _SHA, "mmar_digest": "d"}),
    ("round_opened", {"round": 0, "participants": ["site-1"]}),
    (
        "update_accepted",
        accepted("site-1", sha256=_SHA, bytes=8).to_json(),
    ),
    (
        "round_closed",
        {"round": 0, "summary": _SUMMARY, "wall_seconds": 1.0, "best": {"round": 0, "score": 1.0}},
    ),
    (
        "checkpoint_lost",
        {
            "round": 1,
            "file": "f",
            "reason": "missing",
            "expected": _SHA,
            "found": "",
            "kept": ["site-1"],
            "epoch": "e2",
        },
    ),
    ("run_ended", {"status": "finished", "reason": "", "wall_seconds": 2.0}),
)


def runs() -> Mapping[str, dict[str, bytes]]:
    """Return seeds by target and name."""
    return {**_mmars(), **_journals(), **_states(), **_said()}


def _mmars() -> dict[str, dict[str, bytes]]:
    sample = _MMARS / "echo"
    files = {
        path.relative_to(sample).as_posix(): path.read_bytes()
        for path in sorted(sample.rglob("*"))
        if path.is_file() and path.suffix in {".json", ".config"}
    }
    custom = {"custom/mine.py": b"class Net:\n    pass\n", "data/list.csv": b"image,label\n"}
    log = (_MMARS / "breast_cancer/resources/log.config").read_bytes()
    return {
        "mmar": {"echo": as_bytes(files), "custom": as_bytes({**files, **custom})},
        "environment": {"values": b'{"A": 2, "B": "x{A}", "NUM_ROUNDS": 3}'},
        "log_config": {"sample": log},
    }


def _journals() -> dict[str, dict[str, bytes]]:
    lines = b"\n".join(f"{kind} {json.dumps(data)}".encode() for kind, data in _EVENTS)
    with TemporaryDirectory() as made:
        folder = Path(made)
        with Journal(folder / "journal.db", projection=folder / "events.jsonl") as journal:
            for kind, data in _EVENTS:
                journal.append(kind, data).result()
        log = AuditLog(folder / "audit.jsonl", clock=lambda: 1_796_000_000.0)
        for action in ("Register", "GetModel"):
            log.record(action, who="client site-1", peer="127.0.0.1", run=1)
        log.close()
        audit = (folder / "audit.jsonl").read_bytes()
        head = (folder / "audit.head").read_bytes()
        return {
            "journal": {"run": lines},
            "journal_file": {"run": (folder / "journal.db").read_bytes()},
            "events": {"run": (folder / "events.jsonl").read_bytes()},
            "audit": {"log": audit + b"\0HEAD\0" + head, "torn": audit[:-40] + b"\0HEAD\0" + head},
        }


def _states() -> dict[str, dict[str, bytes]]:
    noon = "2026-11-28T12:00:00Z"
    progress = {"done": 1, "total": 4, "unit": "steps"}
    client = {"name": "site-1", "state": "training", "since": noon, "progress": progress}
    status = {
        "status": "running",
        "reason": "",
        "run_number": 1,
        "num_rounds": 3,
        "round": 0,
        "waiting_for": "w",
        "since": noon,
        "missing": [{"name": "site-1", "since": noon}],
        "pid": 1,
        "updated": noon,
        "clients": [{**client, "round": 0, "last_heard": noon}],
    }
    summary = {"status": "finished", "reason": None, "rounds": [{"round": 2}]}
    named = {"base_sha256": "b", "update_id": "u", "file": "update.safetensors"}
    pending = PendingUpdate(facts=facts(bytes=8), run_number=1, mmar_digest="d", **named)
    announced = {"name": "demo", "digest": _SHA, "sha256": _SHA, "total_bytes": 4}
    part = (
        json.dumps({"update_id": "u", "total_bytes": 10})[:-1] + ', "offset":                7}\n'
    )
    return {
        "status_file": {"status": _json(status), "summary": _json(summary)},
        "endpoint": {"endpoint": _json({"listen": "127.0.0.1:1", "admin": None, "pid": 1})},
        "state_pointer": {"pointer": _json({"slot": 1, "update_id": "u"})},
        "pending": {"update": _json({"boot_id": "BOOT", "update": pending.to_json()})},
        "incoming": {"announced": _json(announced)},
        "part_record": {"record": part.encode()},
    }


def _said() -> dict[str, dict[str, bytes]]:
    answer = {"num_samples": 2.0, "metrics": {"loss": 0.5}, "validation": {}, "kind": "weights"}
    error = {"message": "m", "hint": None, "reason": "TASK_FAILED", "details": "d"}
    result = {"round": 1, "train": {"loss": 0.5}, "validation": {"acc": 1}, "num_samples": 3}
    network = NetworkFacts(
        {"w": TensorFacts("F32", (2, 3)), "n": TensorFacts("I64")},
        kept=frozenset({"n"}),
        memory={"weights": 32},
        note="n",
    )
    rule = {"takes": "I32", "slots": 2, "excluded": ["w"], "least": 3}
    steps = _json({"id": 1, "step": [1, 2]}) + b"\n"
    return {
        "child": {
            "answer": steps + _json({"id": 1, "result": answer}) + b"\n",
            "error": _json({"id": 1, "error": error}) + b"\n",
        },
        "described": {
            "network": _json({"id": 1, "result": facts_to_json(network)}) + b"\n",
            "rule": _json({"id": 1, "result": rule}) + b"\n",
        },
        "parent": {"request": _json({"id": 1, "method": "train", "params": {}}) + b"\n"},
        "result": {"metrics": _json(result)},
    }


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()
