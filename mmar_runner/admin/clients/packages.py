# SPDX-License-Identifier: Apache-2.0
"""The package that clients are given: that of the MMAR that is deployed now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmar_runner.errors import RefusedError
from mmar_runner.server.calls.discovery import unmatched
from mmar_runner.wire.servicer import DiscoveryServicer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from mmar_runner.server.calls.packages import PackageDesk
    from mmar_runner.wire.codec import SentPackageItem
    from mmar_runner.wire.gate import Peer
    from mmar_runner.wire.messages import (
        AssignReply,
        AssignRequest,
        DeclineReply,
        DeclineRequest,
        GetPackageRequest,
    )


class CurrentPackage(DiscoveryServicer):
    """Answers GetPackage and Decline for whatever is deployed."""

    def __init__(self) -> None:
        self._desk: PackageDesk | None = None

    def offer(self, desk: PackageDesk) -> None:
        """Give clients another MMAR from now on."""
        self._desk = desk

    async def close(self) -> None:
        """Wait for a package that is being made."""
        if self._desk is not None:
            await self._desk.close()

    async def get_package(
        self, request: GetPackageRequest, peer: Peer
    ) -> AsyncIterator[SentPackageItem]:
        """Yield the package's header and its bytes.

        Raises:
            RefusedError: NOT_DEPLOYED.
            NotAuthorizedError: The site may not run this MMAR.
        """
        async for item in self._require().get_package(request, peer):
            yield item

    async def decline(self, request: DeclineRequest, peer: Peer) -> DeclineReply:
        """Note that a site will not run the MMAR, and why."""
        return await self._require().decline(request, peer)

    async def assign(self, request: AssignRequest, peer: Peer) -> AssignReply:
        """Assign nobody: combiners below a server that stands have clients of their own."""
        del request, peer
        return unmatched("a server that stands assigns nobody: give --server, or use its kit")

    def _require(self) -> PackageDesk:
        if self._desk is None:
            msg = "nothing is deployed at the server"
            raise RefusedError(msg, reason="NOT_DEPLOYED", hint="deploy MMAR server")
        return self._desk
