# SPDX-License-Identifier: Apache-2.0
"""Targets: what this program wrote itself, after a disk or a person has damaged it."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing, redirect_stderr, redirect_stdout
from io import StringIO
from typing import TYPE_CHECKING, Final

from mmar_runner.cli.commands import status as status_command
from mmar_runner.client.delivery.package_file import IncomingPackage
from mmar_runner.client.files.state import StateFolders
from mmar_runner.client.files.workspace import RunFiles
from mmar_runner.security.audit.file import AuditFile
from mmar_runner.security.audit.reading import read_audit, verify_audit
from mmar_runner.server.records.replay import replay
from mmar_runner.server.status.status_on_record import read_recorded
from mmar_runner.server.status.status_reading import read_status
from mmar_runner.storage.journal import Journal
from mmar_runner.storage.journal_reading import read_events
from mmar_runner.storage.projection import Projection
from mmar_runner.storage.spool_file import PartRecord
from tests.fuzz.target import FindingError, Target, scratch
from tests.fuzz.targets_documents import JSON

if TYPE_CHECKING:
    from pathlib import Path

#: Kinds of events and their keys: what a damaged record may still look like.
_RECORD: Final = (
    *(b"run_started", b"run_resumed", b"run_retried", b"client_registered", b"round_opened"),
    *(
        b"update_accepted",
        b"round_closed",
        b"best_model",
        b"checkpoint_lost",
        b"run_ended",
        b"update_refused",
    ),
    *(b'"round":', b'"summary":', b'"client":', b'"digest":', b'"status":', b'"participants":'),
)


def _journal(data: bytes) -> None:
    """A journal whose pages are whole, and whose events are what the lines say."""
    with scratch() as folder:
        path = folder / "journal.db"
        Journal(path).close()
        with closing(sqlite3.connect(path)) as connection, connection:
            for line in data.split(b"\n")[:50]:
                kind, _, facts = line.decode(errors="replace").partition(" ")
                connection.execute(
                    "INSERT INTO events (time, kind, data) VALUES (0, ?, ?)", (kind, facts)
                )
        replay(read_events(path))


def _journal_file(data: bytes) -> None:
    """A journal whose pages are damaged: opened by a server, and read by whoever asks."""
    with scratch() as folder:
        path = folder / "journal.db"
        path.write_bytes(data)
        read_recorded(path)
        with Journal(path, projection=folder / "events.jsonl") as journal:
            replay(journal.events())
            journal.append("run_resumed", {}).result(10)


def _events(data: bytes) -> None:
    """``events.jsonl``, which is repaired when a server starts."""
    with scratch() as folder:
        path = folder / "events.jsonl"
        path.write_bytes(data)
        projection = Projection(path, 1 << 40)
        projection.close()
        if path.read_bytes() != data[: path.stat().st_size]:
            raise FindingError("a repair that changes what it keeps")


def _status_file(data: bytes) -> None:
    """``status.json``, ``endpoint.json`` and ``summary.json``, each with the same content."""
    for name in ("status.json", "summary.json"):
        for pid in (None, os.getpid()):
            with scratch() as folder:
                run = folder / "run_1"
                run.mkdir()
                (run / name).write_bytes(data)
                if pid:
                    said = {"listen": "127.0.0.1:1", "pid": pid}
                    (folder / "endpoint.json").write_text(json.dumps(said))
                _shown(folder)


def _endpoint(data: bytes) -> None:
    with scratch() as folder:
        (folder / "run_1").mkdir()
        (folder / "run_1" / "summary.json").write_text('{"status": "finished", "rounds": []}')
        (folder / "endpoint.json").write_bytes(data)
        _shown(folder)


def _shown(workspace: Path) -> None:
    read_status(workspace)
    for form in ([], ["--json"]):
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            status_command.command.main([str(workspace), *form], standalone_mode=False)


def _state_pointer(data: bytes) -> None:
    with scratch() as folder:
        (folder / "current.json").write_bytes(data)
        state = StateFolders(folder)
        state.create()
        state.clear_pending()
        if not {state.current, state.pending} <= set(folder.iterdir()):
            raise FindingError("a state outside its folder")


def _pending(data: bytes) -> None:
    with scratch() as folder:
        files = RunFiles(folder, 1)
        kept = data.replace(b"BOOT", files._boot_id.encode())
        (folder / "pending.json").write_bytes(kept)
        (folder / "update.safetensors").write_bytes(bytes(8))
        found = files.pending(mmar_digest="d")
        if found is not None and not (folder / found.file).resolve().is_relative_to(folder):
            raise FindingError(f"a file outside the folder would be sent: {found.file}")


def _incoming(data: bytes) -> None:
    with scratch() as folder:
        (folder / "incoming.json").write_bytes(data)
        (folder / "incoming.part").write_bytes(bytes(3))
        package = IncomingPackage(folder)
        package.close()


def _part_record(data: bytes) -> None:
    with scratch() as folder:
        part = folder / "site-1.part"
        part.write_bytes(bytes(20))
        PartRecord.path(part).write_bytes(data)
        if not 0 <= PartRecord("u", 10).offset(part) <= 10:
            raise FindingError("more bytes than the update has")


def _audit(data: bytes) -> None:
    """The audit log and its head: read, and gone on with."""
    log, _, head = data.partition(b"\x00HEAD\x00")
    with scratch() as folder:
        path = folder / "audit.jsonl"
        path.write_bytes(log)
        if head:
            path.with_suffix(".head").write_bytes(head)
        try:
            verify_audit(path)
            list(read_audit(path))
        finally:
            AuditFile(path).close()


TARGETS: Final = (
    Target("journal", _journal, "events of a journal", (*_RECORD, *JSON)),
    Target(
        "journal_file",
        _journal_file,
        "the journal's database",
        (b"SQLite format 3\x00", b"events", b"\x0d\x00\x00", b"\x05\x00\x00"),
        longest=40_000,
    ),
    Target("events", _events, "events.jsonl", (b'{"seq":', b'"time":', *JSON)),
    Target("status_file", _status_file, "status.json and summary.json", (*_RECORD, *JSON)),
    Target("endpoint", _endpoint, "endpoint.json", (b'"pid":', b'"listen":', *JSON)),
    Target("state_pointer", _state_pointer, "current.json of a trainer's state", JSON),
    Target("pending", _pending, "pending.json of a client", (b"../", *JSON)),
    Target("incoming", _incoming, "incoming.json of a client", JSON),
    Target("part_record", _part_record, "records of part files", JSON),
    Target("audit", _audit, "the audit log and its head", (b"\x00HEAD\x00", b'"seq":', *JSON)),
)
