# SPDX-License-Identifier: Apache-2.0
"""Takes the chunks of one package: what has arrived is written while more arrives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmar_runner.errors import ProtocolError
from mmar_runner.server.calls.streaming import PartReceiver, first_part
from mmar_runner.waiting.threads import in_thread
from mmar_runner.wire.messages import UploadBegin, UploadCommit, UploadCredit, UploadReady

if TYPE_CHECKING:
    from mmar_runner.admin.files.incoming import IncomingPackage
    from mmar_runner.server.calls.windows import SharedWindow
    from mmar_runner.wire.codec import Chunk
    from mmar_runner.wire.servicer import UploadStream


class PackageReceiver(PartReceiver[UploadCommit]):
    """Receives one package. Whoever sends without credit is refused.

    Every chunk that was written gives its credit back, so a sender knows what has arrived.

    Args:
        stream: Where the chunks come from and the credits go.
        package: Takes them.
        window: Chunks that all senders together may have under way.
    """

    commit = UploadCommit
    what = "a package"

    def __init__(
        self, stream: UploadStream, package: IncomingPackage, window: SharedWindow
    ) -> None:
        super().__init__(stream, window)
        self._package = package

    async def receive(self) -> None:
        """Take chunks until the Commit.

        Raises:
            ProtocolError: Something else came, or a chunk without credit, or too many bytes.
            RefusedError: TOO_SLOW.
            StorageError: The bytes cannot be written.
        """
        await self._received(self._ready)

    def _ready(self, credits_: int) -> UploadReady:
        return UploadReady(offset=self._package.offset, credits=credits_)

    async def _write(self, chunks: list[Chunk]) -> None:
        await in_thread(self._package.write, chunks)

    async def _written(self, count: int) -> None:
        self._credits += count
        await self._stream.write(UploadCredit(credits=count))


async def first_begin(stream: UploadStream) -> UploadBegin:
    """Return what an upload begins with.

    Raises:
        ProtocolError: It begins with something else.
        RefusedError: TOO_SLOW.
    """
    item = await first_part(stream, PackageReceiver.what)
    if not isinstance(item, UploadBegin):
        msg = "an upload begins with Begin"
        raise ProtocolError(msg)
    return item
