# SPDX-License-Identifier: Apache-2.0
"""The audit log: who asked for what, and what was decided; append-only and chained.

`AuditLog.record` may be called from an event loop: it puts an entry into a queue of
bounded length, and one thread writes and syncs. Nothing vanishes: what cannot be written
stays in the queue, is tried again, and is told to whoever calls next.
"""

from __future__ import annotations

import atexit
import logging
import threading
import time
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Self

from mmar_runner.errors import AuditError
from mmar_runner.security.audit.file import AuditFile
from mmar_runner.security.audit.head import MAX_BATCH
from mmar_runner.security.audit.line import Entry, clean_data, clean_text
from mmar_runner.security.audit.repeats import WINDOW_SECONDS, Repeats

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import TracebackType

    from mmar_runner.security.audit.line import Decision

_log = logging.getLogger(__name__)

#: Entries that may wait to be written.
MAX_WAITING: Final = 10_000


class AuditLog:
    """Writes one audit log; a later process goes on with its chain.

    Args:
        path: The file, such as ``audit.jsonl``; ``audit.head`` lies beside it.
        clock: Seconds since 1970.

    Raises:
        AuditError: Another process writes it (AUDIT_LOCKED), it cannot be written
            (AUDIT_WRITE), or what is there was tampered with.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._file = AuditFile(path)
        self._repeats = Repeats()
        self._waiting: deque[Entry] = deque()
        self._changed = threading.Condition()
        self._error: AuditError | None = None
        self._attempts = 0
        self._wanted = 0
        self._tried = 0
        self._closing = False
        self._ended = False
        self._thread = threading.Thread(target=self._work, name="audit", daemon=True)
        self._thread.start()
        atexit.register(self.close)
        if self._file.torn is not None:
            self.record("audit.repaired", who="", decision="noted", **self._file.torn)

    def record(
        self,
        action: str,
        *,
        who: str,
        peer: str = "",
        decision: Decision = "accepted",
        reason: str = "",
        **data: Any,
    ) -> None:
        """Record an event; returns before it is on the disk.

        Args:
            action: What was asked for, such as ``Register``.
            who: The identity that the certificate proved; empty if none did.
            peer: The address it came from.
            decision: ``accepted``, ``refused``, or ``noted`` for what nobody decided.
            reason: The stable id of a refusal.
            data: Facts; short values, no secrets.

        Raises:
            AuditError: An earlier event could not be written (AUDIT_WRITE), too many
                wait (AUDIT_OVERLOADED), or a fact's name promises a secret.
        """
        texts = map(clean_text, (who, peer, action, reason))
        who, peer, action, reason = texts
        entry = Entry(self._clock(), who, peer, action, decision, reason, clean_data(data))
        with self._changed:
            self._check_open()
            if len(self._waiting) >= MAX_WAITING:
                msg = f"{self._file.path}: {MAX_WAITING} events wait to be written"
                raise self._error or AuditError(msg, reason="AUDIT_OVERLOADED")
            self._waiting.extend(self._repeats.pass_on(entry))
            self._changed.notify_all()
            if self._error is not None:
                raise self._error

    def flush(self) -> None:
        """Write everything, counted repeats too, and wait until it is on the disk.

        Raises:
            AuditError: It could not be written; it still waits.
        """
        with self._changed:
            self._check_open()
            self._waiting.extend(self._repeats.ended())
            self._attempt()

    def close(self) -> None:
        """Write everything and end; a second call does nothing.

        Raises:
            AuditError: Events could not be written and are lost; it says how many.
        """
        atexit.unregister(self.close)
        with self._changed:
            if self._closing:
                return
            self._waiting.extend(self._repeats.ended())
            self._closing = True
            self._changed.notify_all()
        self._thread.join()
        self._file.close()
        if self._error is not None:
            msg = f"{self._error.message}; {len(self._waiting)} events are lost"
            raise AuditError(msg, reason=self._error.reason, hint=self._error.hint)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _check_open(self) -> None:
        if self._closing or self._ended:
            raise AuditError(f"{self._file.path}: the audit log is closed", reason="AUDIT_CLOSED")

    def _attempt(self) -> None:
        """Have the thread try everything once more, and wait for it."""
        self._wanted = goal = self._attempts + 1
        self._changed.notify_all()
        self._changed.wait_for(lambda: self._attempts >= goal or self._ended)
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        """Write what waits, until closed; the thread's whole work."""
        try:
            while not self._ended:
                self._write_when_due()
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _write_when_due(self) -> None:
        with self._changed:
            self._changed.wait_for(self._due, timeout=self._pause())
            self._waiting.extend(self._repeats.ended(self._clock()))
            closing, wanted = self._closing, self._wanted
        self._write_waiting()
        with self._changed:
            self._tried = len(self._waiting)
            self._attempts = max(self._attempts, wanted)
            self._ended = closing
            self._changed.notify_all()

    def _due(self) -> bool:
        # What failed is tried again as soon as more comes, or somebody wants it.
        more = len(self._waiting) > self._tried
        return more or self._closing or self._wanted > self._attempts

    def _pause(self) -> float | None:
        end = self._repeats.next_end()
        return None if end is None else min(max(0.0, end - self._clock()), WINDOW_SECONDS)

    def _write_waiting(self) -> None:
        while True:
            with self._changed:
                batch = [self._waiting[i] for i in range(min(MAX_BATCH, len(self._waiting)))]
            if not batch:
                return
            try:
                self._file.append(batch)
            except AuditError as error:
                if self._error is None:  # once, whoever calls meanwhile
                    _log.error("%s", error.message)
                self._error = error
                return
            with self._changed:
                self._error = None
                for _ in batch:
                    self._waiting.popleft()


@contextmanager
def held_open(path: Path) -> Iterator[AuditLog]:
    """Hold an audit log open for a process that serves or works; see `AuditLog`.

    What cannot be written at its end is told, and changes nothing of how that ends.

    Raises:
        AuditError: As `AuditLog`, at the beginning.
    """
    audit = AuditLog(path)
    try:
        yield audit
    finally:
        try:
            audit.close()
        except AuditError as error:
            _log.error("%s", error.message)
