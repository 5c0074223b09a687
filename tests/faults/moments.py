# SPDX-License-Identifier: Apache-2.0
"""The table of failpoints: every step between bytes that arrive and a round on record."""

from __future__ import annotations

import sys
from typing import Any

if __package__:
    from tests.faults.failpoints import Condition, Failpoint
else:  # in the process of `program.py`, which is no package
    from failpoints import Condition, Failpoint

_SERVER = "mmar_runner.server"
_STORAGE = "mmar_runner.storage"
_SPOOL_FILE = f"{_STORAGE}.spool_file:SpoolFile"
_CLIENT = "mmar_runner.client"
_UPDATE_CALL_WRITE = "mmar_runner.wire.stub:UpdateCall.write"


def _of(name: str) -> Condition:
    """The journal's write of one kind of event."""
    return lambda _table, work: getattr(work, "kind", "") == name


def _sent(name: str) -> Condition:
    """A message of that type."""
    return lambda _stream, item: type(item).__name__ == name


def _named(name: str) -> Condition:
    """A model that is published under that name."""
    return lambda _store, _round, published, *_args, **_facts: published == name


def _in_the_middle(incoming: Any, _chunks: Any) -> bool:
    return bool(0 < incoming.offset < incoming.total_bytes)


def _at_its_end(_summary: Any, status: str, *_args: Any, **_facts: Any) -> bool:
    return status != "running"


class _Sent:
    """The chunk with which some of an update has left, in one process and one call.

    Args:
        share: How much of it.
    """

    def __init__(self, share: float) -> None:
        self._share = share
        self._total = 0
        self._sent = 0

    def __call__(self, _call: Any, item: Any) -> bool:
        if type(item).__name__ == "UpdateBegin":
            self._total, self._sent = item.total_bytes, 0
            return False
        if not isinstance(item, (bytes, bytearray, memoryview)):
            return False
        before, self._sent = self._sent, self._sent + len(item)
        return before < self._total * self._share <= self._sent


def _is_chunk(_call: Any, item: Any) -> bool:
    return isinstance(item, (bytes, bytearray, memoryview))


#: What a server passes in every run whose models are larger than one message.
SERVER = (
    Failpoint("server.run.made", f"{_SERVER}.records.workspace:RunFolder.create", "after"),
    Failpoint("server.initial.made", f"{_SERVER}.opening:make_initial_model", "after"),
    Failpoint("server.journal.before_open", f"{_SERVER}.opening:Journal", "before"),
    Failpoint("server.journal.after_open", f"{_SERVER}.opening:Journal", "after"),
    Failpoint("server.run.opened", f"{_SERVER}.place:open_run", "after"),
    Failpoint("server.client.registered", f"{_SERVER}.members.members:Members.register", "after"),
    Failpoint("server.round.opened", f"{_SERVER}.rounds.coordinator:Coordinator._open", "after"),
    Failpoint("server.model.sending", f"{_SERVER}.calls.downloads:Downloads._model", "after"),
    Failpoint("server.upload.begun", f"{_STORAGE}.spool:Spool.open", "after"),
    Failpoint("server.upload.chunk_write", f"{_STORAGE}.spool_file:write_all", "before"),
    Failpoint("server.upload.chunk_written", f"{_SPOOL_FILE}.write_many", "after"),
    Failpoint("server.spool.before_fsync", f"{_SPOOL_FILE}.commit", "before"),
    Failpoint("server.spool.before_rename", f"{_STORAGE}.spool_file:publish", "before"),
    Failpoint("server.spool.after_rename", f"{_STORAGE}.spool_file:publish", "after"),
    Failpoint(
        "server.journal.before_commit",
        f"{_STORAGE}.journal_table:JournalTable._write",
        "after",
        _of("update_accepted"),
    ),
    Failpoint("server.journal.before_projection", f"{_STORAGE}.journal:Projection.write", "before"),
    Failpoint("server.journal.after_projection", f"{_STORAGE}.journal:Projection.write", "after"),
    Failpoint(
        "server.journal.after_commit", f"{_SERVER}.rounds.ledger:Ledger.until_recorded", "after"
    ),
    Failpoint(
        "server.receipt.sent",
        f"{_SERVER}.calls.paced_stream:PacedStream.write",
        "after",
        _sent("UpdateReceipt"),
    ),
    Failpoint("server.aggregate.begun", f"{_SERVER}.rounds.round_aggregation:aggregate", "before"),
    Failpoint(
        "server.checkpoint.before_write", f"{_SERVER}.rounds.aggregation:TensorWriter", "before"
    ),
    Failpoint("server.checkpoint.write", f"{_STORAGE}.hashing_writer:write_all", "before"),
    Failpoint("server.aggregate.middle", f"{_STORAGE}.tensor_files:TensorWriter.write", "after"),
    Failpoint(
        "server.checkpoint.before_fsync", f"{_STORAGE}.tensor_files:TensorWriter.commit", "before"
    ),
    Failpoint("server.checkpoint.before_rename", f"{_STORAGE}.tensor_files:publish", "before"),
    Failpoint("server.checkpoint.after_rename", f"{_STORAGE}.tensor_files:publish", "after"),
    Failpoint(
        "server.round.before_commit",
        f"{_STORAGE}.journal_table:JournalTable._write",
        "after",
        _of("round_closed"),
    ),
    Failpoint(
        "server.round.after_commit", f"{_SERVER}.rounds.closing:RoundCloser._delete", "before"
    ),
    Failpoint("server.updates.before_delete", f"{_STORAGE}.spool:Spool.delete_round", "before"),
    Failpoint("server.updates.after_delete", f"{_STORAGE}.spool:Spool.delete_round", "after"),
    Failpoint(
        "server.models.before_delete",
        f"{_SERVER}.records.models:ModelStore.discard_older",
        "before",
    ),
    Failpoint("server.round.forgotten", f"{_SERVER}.rounds.closing:RoundCloser._delete", "after"),
    Failpoint(
        "server.best.before_publish",
        f"{_SERVER}.records.models:ModelStore.publish",
        "before",
        _named("best"),
    ),
    Failpoint(
        "server.best.after_publish",
        f"{_SERVER}.records.models:ModelStore.publish",
        "after",
        _named("best"),
    ),
    Failpoint(
        "server.final.before_publish",
        f"{_SERVER}.records.models:ModelStore.publish",
        "before",
        _named("final"),
    ),
    Failpoint(
        "server.final.after_publish",
        f"{_SERVER}.records.models:ModelStore.publish",
        "after",
        _named("final"),
    ),
    Failpoint(
        "server.summary.before_write",
        f"{_SERVER}.records.summary:Summary.write",
        "before",
        _at_its_end,
    ),
    Failpoint(
        "server.summary.after_write",
        f"{_SERVER}.records.summary:Summary.write",
        "after",
        _at_its_end,
    ),
    Failpoint(
        "server.end.recorded", f"{_SERVER}.rounds.coordinator:Coordinator.announce", "before"
    ),
    Failpoint("server.end.told", f"{_SERVER}.rounds.coordinator:Coordinator.announce", "after"),
)

#: What a client passes.
CLIENT = (
    Failpoint("client.key.kept", f"{_CLIENT}.files.workspace:ClientWorkspace.session_key", "after"),
    Failpoint(
        "client.register.asked", f"{_CLIENT}.connection.registration:RegisterRequest", "before"
    ),
    Failpoint(
        "client.registered", f"{_CLIENT}.connection.registration:Registration._accept", "after"
    ),
    Failpoint("client.run.made", f"{_CLIENT}.files.workspace:RunFiles.create", "after"),
    Failpoint("client.model.begun", f"{_CLIENT}.transfer.downloads:IncomingModel", "after"),
    Failpoint("client.model.write", f"{_CLIENT}.transfer.model_file:write_all", "before"),
    Failpoint(
        "client.model.middle",
        f"{_CLIENT}.transfer.model_file:IncomingModel.write",
        "after",
        _in_the_middle,
    ),
    Failpoint(
        "client.model.complete", f"{_CLIENT}.transfer.model_file:IncomingModel.finish", "after"
    ),
    Failpoint("client.train.before", f"{_CLIENT}.tasks.training:OwnChild.train", "before"),
    Failpoint("client.train.after", f"{_CLIENT}.tasks.training:OwnChild.train", "after"),
    Failpoint(
        "client.pending.before_keep", f"{_CLIENT}.files.workspace:RunFiles.keep_pending", "before"
    ),
    Failpoint("client.disk.write", f"{_STORAGE}.atomic:_write_file", "before"),
    Failpoint("client.pending.kept", f"{_CLIENT}.files.workspace:RunFiles.keep_pending", "after"),
    Failpoint(
        "client.upload.begun",
        _UPDATE_CALL_WRITE,
        "after",
        _sent("UpdateBegin"),
    ),
    Failpoint("client.upload.chunk", _UPDATE_CALL_WRITE, "after", _is_chunk),
    Failpoint("client.upload.half", _UPDATE_CALL_WRITE, "after", _Sent(0.5)),
    Failpoint("client.upload.whole", _UPDATE_CALL_WRITE, "after", _Sent(1)),
    Failpoint(
        "client.upload.committed",
        _UPDATE_CALL_WRITE,
        "after",
        _sent("UpdateCommit"),
    ),
    Failpoint("client.receipt.received", f"{_CLIENT}.transfer.uploads:_Upload.send", "after"),
    Failpoint("client.state.before", f"{_CLIENT}.files.state:StateFolders.acknowledge", "before"),
    Failpoint(
        "client.state.acknowledged", f"{_CLIENT}.files.state:StateFolders.acknowledge", "after"
    ),
    Failpoint(
        "client.pending.forgotten", f"{_CLIENT}.files.workspace:RunFiles.forget_pending", "after"
    ),
    Failpoint("client.quit.before", f"{_CLIENT}.connection.connection:Connection.quit", "before"),
    Failpoint("client.quit.after", f"{_CLIENT}.connection.connection:Connection.quit", "after"),
)

ALL = {point.name: point for point in (*SERVER, *CLIENT)}

#: Passed once in a run, at its beginning or its end, and so not again in a process that
#: goes on with it.
AT_THE_BEGINNING = frozenset(
    {"server.run.made", "server.initial.made", "client.key.kept", "client.run.made"}
)
AT_THE_END = frozenset(
    name
    for name in ALL
    if name.startswith(("server.final.", "server.summary.", "server.end.", "client.quit."))
)


def of_side(side: str) -> tuple[Failpoint, ...]:
    """Return the failpoints of ``server`` or ``client``."""
    return SERVER if side == "server" else CLIENT


if __name__ == "__main__":
    sys.stdout.write("\n".join(f"{p.name}: {p.when} {p.where}" for p in ALL.values()) + "\n")
