# SPDX-License-Identifier: Apache-2.0
"""What administrators hand over: uploaded MMARs, each with its owner; and files they fetch."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from mmar_runner.admin.access import unknown
from mmar_runner.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from pathlib import Path

    from mmar_runner.admin.access import Access
    from mmar_runner.interfaces.admin_command import CommandCall
    from mmar_runner.wire.admin_codec import SentDownloadItem
    from mmar_runner.wire.gate import Peer
    from mmar_runner.wire.messages import DownloadRequest
    from mmar_runner.wire.servicer import UploadStream

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,127}")


class Transfers:
    """The folder of what was uploaded.

    Args:
        folder: ``WORKSPACE/transfer``: a folder each, and beside it what is known of it.
        access: Who may see what.
    """

    def __init__(self, folder: Path, access: Access) -> None:
        self._folder = folder
        self._access = access

    def visible(self, user: str) -> list[Mapping[str, Any]]:
        """Return what this user may see: name, digest, owner, org, uploaded, bytes."""
        org, everything = self._access.org_of(user), self._access.sees_all(user)
        return [one for one in self._known() if everything or one["org"] == org]

    def require(self, name: str, user: str) -> Path:
        """Return an uploaded MMAR's folder.

        Raises:
            NotAuthorizedError: UNKNOWN, there is none, or another organisation's.
        """
        names = [one["name"] for one in self.visible(user)]
        if name not in names:
            raise unknown("uploaded MMAR", name, names)
        return self._folder / name

    def path_of(self, name: str) -> Path:
        """Return where an MMAR lies that was uploaded, for whoever it was."""
        return self._folder / name

    def digest_of(self, name: str) -> str:
        """Return an uploaded MMAR's digest, hex."""
        return next(str(one["digest"]) for one in self._known() if one["name"] == name)

    async def receive(
        self,
        stream: UploadStream,
        peer: Peer,
        call: Callable[[str, bytes, Peer], Awaitable[CommandCall]],
    ) -> None:
        """Receive one package."""
        raise NotImplementedError

    def send(
        self,
        request: DownloadRequest,
        peer: Peer,
        call: Callable[[str, bytes, Peer], Awaitable[CommandCall]],
    ) -> AsyncIterator[SentDownloadItem]:
        """Send one file."""
        raise NotImplementedError

    def _known(self) -> list[dict[str, Any]]:
        found = []
        for path in sorted(self._folder.glob("*.json")):
            if _NAME.fullmatch(path.stem) and (self._folder / path.stem).is_dir():
                try:
                    found.append(json.loads(path.read_bytes()))
                except (OSError, ValueError) as error:
                    raise StorageError(f"{path} cannot be read: {error}") from error
        return found
