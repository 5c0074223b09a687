# SPDX-License-Identifier: Apache-2.0
"""What administrators hand over: uploaded MMARs, each with its owner; and files they fetch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mmar_runner.admin.files.downloads import Downloads
from mmar_runner.admin.files.incoming import IncomingPackages
from mmar_runner.admin.files.uploaded import Uploaded
from mmar_runner.admin.files.uploads import Uploads

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path

    from mmar_runner.admin.entrance.access import Access
    from mmar_runner.admin.files.uploads import Authorize, Look
    from mmar_runner.admin.runs.federation_state import RunEntry
    from mmar_runner.wire.admin_codec import SentDownloadItem
    from mmar_runner.wire.gate import Peer
    from mmar_runner.wire.messages import DownloadRequest
    from mmar_runner.wire.servicer import UploadStream

#: Below the folder of uploads: what arrives, and archives that are sent.
INCOMING: Final = ".incoming"
OUTGOING: Final = ".outgoing"


class Transfers:
    """The folder of what was uploaded, and the way in and out.

    What an earlier process was in the middle of is finished or removed first.

    Args:
        folder: ``WORKSPACE/transfer``: a folder each, and beside it what is known of it.
        access: Who may see what.
        look: As for `Uploads`.
        workspace: The server's, with its runs.
        runs: Gives the runs that are known, by number.

    Raises:
        StorageError: The folder cannot be used.
    """

    def __init__(
        self,
        folder: Path,
        access: Access,
        *,
        look: Look,
        workspace: Path,
        runs: Callable[[], Mapping[int, RunEntry]],
    ) -> None:
        incoming = IncomingPackages(folder / INCOMING)
        self._uploaded = Uploaded(folder, access)
        self._uploads = Uploads(incoming, self._uploaded, access, look)
        self._downloads = Downloads(workspace, folder / OUTGOING, access, runs)
        self._uploaded.settle(incoming.folder)
        incoming.sweep()
        self._downloads.sweep()

    def visible(self, user: str) -> list[Mapping[str, Any]]:
        """Return what this user may see: name, digest, owner, org, uploaded, bytes."""
        return self._uploaded.visible(user)

    def require(self, name: str, user: str) -> Path:
        """Return an uploaded MMAR's folder.

        Raises:
            NotAuthorizedError: UNKNOWN, there is none, or another organisation's.
        """
        return self._uploaded.require(name, user)

    def path_of(self, name: str) -> Path:
        """Return where an MMAR lies that was uploaded, for whoever it was."""
        return self._uploaded.path_of(name)

    def digest_of(self, name: str) -> str | None:
        """Return an uploaded MMAR's digest, hex; None if there is none of that name."""
        there = self._uploaded.of(name)
        return None if there is None else str(there["digest"])

    async def receive(self, stream: UploadStream, peer: Peer, authorize: Authorize) -> None:
        """Receive one package; see `Uploads.receive`."""
        await self._uploads.receive(stream, peer, authorize)

    def send(
        self, request: DownloadRequest, peer: Peer, authorize: Authorize
    ) -> AsyncIterator[SentDownloadItem]:
        """Send one file; see `Downloads.send`."""
        return self._downloads.send(request, peer, authorize)
