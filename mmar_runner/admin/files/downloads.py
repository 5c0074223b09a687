# SPDX-License-Identifier: Apache-2.0
"""Sends a run's files to administrators: a file as it is, a folder as an archive."""

from __future__ import annotations

import os
import secrets
import shutil
import stat
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mmar_runner.admin.files.run_files import opened, run_path
from mmar_runner.errors import ProtocolError, RefusedError
from mmar_runner.security.packages.packing import pack
from mmar_runner.server.calls.file_chunks import file_chunks
from mmar_runner.server.calls.windows import download_window
from mmar_runner.storage.atomic import translated
from mmar_runner.waiting.threads import in_thread
from mmar_runner.wire.messages import DownloadHeader

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
    from typing import TypeAlias

    from mmar_runner.admin.entrance.access import Access
    from mmar_runner.admin.files.run_files import RunPath
    from mmar_runner.admin.runs.federation_state import RunEntry
    from mmar_runner.interfaces.admin_command import CommandCall
    from mmar_runner.wire.admin_codec import SentDownloadItem
    from mmar_runner.wire.gate import Peer
    from mmar_runner.wire.messages import DownloadRequest

    Authorize: TypeAlias = Callable[[str, bytes, Peer], Awaitable[CommandCall]]

#: Downloads that one user may have under way, and all users together.
DOWNLOADS_OF_ONE: Final = 2
DOWNLOADS_AT_ONCE: Final = 8
_BLOCK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class _Offered:
    """A file that is sent: its name, where it is open, its size, its sha256."""

    name: str
    path: Path
    size: int
    sha256: str


class Downloads:
    """Sends files. Used from the event loop.

    Args:
        workspace: The server's.
        outgoing: Where archives lie while they are sent.
        access: Who may see what.
        runs: Gives the runs that are known, by number.
    """

    def __init__(
        self,
        workspace: Path,
        outgoing: Path,
        access: Access,
        runs: Callable[[], Mapping[int, RunEntry]],
    ) -> None:
        self._workspace = workspace
        self._outgoing = outgoing
        self._access = access
        self._runs = runs
        self._window = download_window()
        self._under_way: list[str] = []

    async def send(
        self, request: DownloadRequest, peer: Peer, authorize: Authorize
    ) -> AsyncIterator[SentDownloadItem]:
        """Yield a header and a file's bytes, from where the console left off.

        Raises:
            NotAuthorizedError: PATH; UNKNOWN, the run is not there, or another organisation's.
            RefusedError: TOO_MANY_DOWNLOADS.
            PackageError: A folder holds what cannot be packed.
            StorageError: It cannot be read.
        """
        call = await authorize(request.token, request.order, peer)
        if call.spec.name != "download":
            msg = f"a download needs the order `download`, and not {call.spec.name}"
            raise ProtocolError(msg)
        path = run_path(call.arguments["PATH"])
        self._access.require_run(path.number, self._runs(), call.user)
        archive = self._outgoing / f"{secrets.token_hex(8)}.zip"
        with (
            self._counted(call.user),
            self._window.user(),
            opened(self._workspace, path) as descriptor,
        ):
            try:
                offered = await in_thread(self._offered, descriptor, path, archive)
                # An offset means bytes of this very file.
                same = request.sha256 == offered.sha256 and request.offset <= offered.size
                header = DownloadHeader(
                    name=offered.name,
                    total_bytes=offered.size,
                    sha256=offered.sha256,
                    offset=request.offset if same else 0,
                )
                yield header
                chunks = file_chunks(offered.path, offered.size, self._window, offset=header.offset)
                async for chunk in chunks:
                    yield chunk
            finally:
                archive.unlink(missing_ok=True)

    def sweep(self) -> None:
        """Delete archives of an earlier process. Blocks."""
        shutil.rmtree(self._outgoing, ignore_errors=True)

    def _offered(self, descriptor: int, path: RunPath, archive: Path) -> _Offered:
        """Return a file with its sha256, or a folder as an archive. Blocks."""
        # The descriptor's own name: what is sent is what was opened, whatever happens to names.
        itself = Path(f"/proc/self/fd/{descriptor}")
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            size, digest = _hashed(descriptor)
            return _Offered(path.name, itself, size, digest)
        with translated(self._outgoing):
            self._outgoing.mkdir(parents=True, exist_ok=True, mode=0o700)
        packed = pack(itself, archive, leave_out=path.keeps, inside=path.name)
        return _Offered(f"{path.name}.zip", archive, packed.size, packed.sha256)

    @contextmanager
    def _counted(self, user: str) -> Iterator[None]:
        own, together = self._under_way.count(user), len(self._under_way)
        if own >= DOWNLOADS_OF_ONE or together >= DOWNLOADS_AT_ONCE:
            msg = f"{user} has {own} downloads under way, and the server {together}"
            raise RefusedError(msg, reason="TOO_MANY_DOWNLOADS", hint="wait until one has arrived")
        self._under_way.append(user)
        try:
            yield
        finally:
            self._under_way.remove(user)


def _hashed(descriptor: int) -> tuple[int, str]:
    """Return a file's size and sha256 as they are now; it may grow meanwhile."""
    size, at, found = os.fstat(descriptor).st_size, 0, sha256()
    while at < size and (block := os.pread(descriptor, min(_BLOCK, size - at), at)):
        found.update(block)
        at += len(block)
    return at, found.hexdigest()
