# SPDX-License-Identifier: Apache-2.0
"""The file of an audit log, and the head beside it that tells how far it goes.

The lines are chained, so that none can be altered, removed or moved within the file.
The head (``audit.jsonl`` has ``audit.head``) holds count and hash of the last line, so
that none can be removed at the end. It is written after the lines are on the disk: a
crash between the two leaves lines that the head does not know yet, never the reverse.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from mmar_runner.errors import AuditError, StorageError
from mmar_runner.security.audit.head import Head, encoded_head, head_path, read_head
from mmar_runner.security.audit.line import (
    KEEP_BOTH,
    MAX_LINE_BYTES,
    Entry,
    Link,
    check_line,
    link,
    placed,
)
from mmar_runner.storage.atomic import sync_folder, write_bytes_atomic
from mmar_runner.storage.bounded import require_regular


class AuditFile:
    """The file of a log that this process writes; used from one thread at a time.

    Args:
        path: The file; its folder is made.

    Attributes:
        end: The end of the chain.
        torn: What a crash left of a line in the middle of a write: its length in bytes,
            sha256 and the file it was put aside to; None if nothing was found.

    Raises:
        AuditError: Another process writes it, it cannot be written, or its end is not
            what the head says.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.end = Link()
        self.torn: dict[str, Any] | None = None
        self._size = 0
        self._unclean = False
        with _translated(path), ExitStack() as opened:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = _opened(path, os.O_APPEND)
            opened.callback(os.close, self._file)
            _lock(self._file, path)
            self._head = _opened(head_path(path), 0)
            opened.callback(os.close, self._head)
            self._find_end()
            opened.pop_all()

    def append(self, entries: Sequence[Entry]) -> None:
        """Write lines and bring them to the disk, then the head: all of them or none.

        Raises:
            AuditError: They cannot be written; the file is as it was.
        """
        lines, end = [], self.end
        for entry in entries:
            line, end = link(entry, end)
            lines.append(line)
        data = b"".join(lines)
        with _translated(self.path):
            self._check_place()
            self._check_size()
            try:
                self._write(data)
                self._write_head(end, self._size + len(data))
            except OSError:
                self._unclean = True
                self._check_size()
                raise
        self.end, self._size = end, self._size + len(data)

    def close(self) -> None:
        """Close the file and give it free."""
        os.close(self._head)
        os.close(self._file)

    def _check_place(self) -> None:
        """Refuse to write where nobody would read: the log or its head was taken away."""
        for path, descriptor in ((self.path, self._file), (head_path(self.path), self._head)):
            try:
                named = path.stat(follow_symlinks=False)
            except FileNotFoundError:
                named = None
            if named is None or not os.path.samestat(named, os.fstat(descriptor)):
                msg = f"{path}: somebody has removed or replaced the audit log"
                hint = "put the file back where it was; what waits is written then"
                raise AuditError(msg, reason="AUDIT_ALTERED", hint=hint)

    def _check_size(self) -> None:
        """Cut off what a write that failed left; refuse what somebody else wrote."""
        if os.fstat(self._file).st_size == self._size:
            return
        if not self._unclean:
            msg = f"{self.path}: somebody else has written to, or cut, the audit log"
            raise AuditError(msg, reason="AUDIT_ALTERED", hint=KEEP_BOTH)
        os.ftruncate(self._file, self._size)
        self._unclean = False

    def _write(self, data: bytes) -> None:
        written = os.write(self._file, data)
        while written < len(data):
            written += os.write(self._file, data[written:])
        os.fdatasync(self._file)

    def _write_head(self, end: Link, size: int) -> None:
        os.pwrite(self._head, encoded_head(Head(end, size)), 0)
        os.fdatasync(self._head)

    def _find_end(self) -> None:
        size = os.fstat(self._file).st_size
        if not size and not os.fstat(self._head).st_size:
            self._write_head(self.end, self._size)
            sync_folder(self.path.parent)
            return
        head = read_head(self.path)
        self._check_known_end(head, size)
        self.end, self._size = head.end, head.size
        tail = os.pread(self._file, size - head.size, head.size)
        *lines, rest = tail.split(b"\n")
        for line in lines:
            with placed(self.path, self.end.count + 1):
                _, self.end = check_line(line, self.end)
            self._size += len(line) + 1
        if len(rest) > MAX_LINE_BYTES:  # no line of this program was torn there
            with placed(self.path, self.end.count + 1):
                check_line(rest, self.end)
        if rest:
            self._put_aside(rest)
        if tail:
            self._write_head(self.end, self._size)

    def _check_known_end(self, head: Head, size: int) -> None:
        """Check that the last line that the head knows ends where the head says."""
        begin = max(0, head.size - MAX_LINE_BYTES - 1)
        known = os.pread(self._file, head.size - begin, begin)
        last = known[:-1].rpartition(b"\n")[2]
        if size < head.size or (head.size and f'"hash":"{head.end.hash}"'.encode() not in last):
            msg = f"{self.path}: the end is not the line {head.end.count} that its head names"
            hint = "`mmar-runner audit verify` tells which line; keep both files, move them aside"
            raise AuditError(msg, reason="AUDIT_TRUNCATED", hint=hint)

    def _put_aside(self, rest: bytes) -> None:
        aside = self.path.with_name(f"{self.path.name}.torn-{self.end.count + 1}")
        write_bytes_atomic(aside, rest, durable=True, mode=0o600)
        os.ftruncate(self._file, self._size)
        digest = sha256(rest).hexdigest()
        self.torn = {"bytes": len(rest), "sha256": digest, "kept_in": aside.name}


def _opened(path: Path, flags: int) -> int:
    flags |= os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(path, flags, 0o600)
    try:
        require_regular(os.fstat(descriptor))
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _lock(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        msg = f"{path}: another process writes this audit log"
        raise AuditError(msg, reason="AUDIT_LOCKED", hint="stop the other process") from error


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, StorageError) as error:
        cause = error.message if isinstance(error, StorageError) else error.strerror or error
        msg = f"{path}: the audit log cannot be written: {cause}"
        hint = "free space, or let this user write there; what waits is written then"
        raise AuditError(msg, reason="AUDIT_WRITE", hint=hint) from error
