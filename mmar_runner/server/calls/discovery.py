# SPDX-License-Identifier: Apache-2.0
"""Answers clients that hold nothing but their kit: what to run, and below whom."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmar_runner.errors import RefusedError
from mmar_runner.wire.servicer import DiscoveryServicer, unmatched

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from mmar_runner.server.calls.packages import PackageDesk
    from mmar_runner.server.members.controller import Controller
    from mmar_runner.wire.codec import SentPackageItem
    from mmar_runner.wire.gate import Peer
    from mmar_runner.wire.messages import (
        AssignReply,
        AssignRequest,
        DeclineReply,
        DeclineRequest,
        GetPackageRequest,
    )


class Discovery(DiscoveryServicer):
    """Hands each call to the part that knows, if the server has it.

    Args:
        packages: Gives the MMAR; None without certificates.
        controller: Assigns clients to combiners; None where clients come to the server itself.
        digest: Of the MMAR that is run.
    """

    def __init__(
        self, packages: PackageDesk | None, controller: Controller | None, *, digest: str
    ) -> None:
        self._packages = packages
        self._controller = controller
        self._digest = digest

    async def get_package(
        self, request: GetPackageRequest, peer: Peer
    ) -> AsyncIterator[SentPackageItem]:
        """Yield the package's header and its bytes; see `PackageDesk`."""
        async for item in self._desk().get_package(request, peer):
            yield item

    async def decline(self, request: DeclineRequest, peer: Peer) -> DeclineReply:
        """Note that a site will not run the MMAR, and why; see `PackageDesk`."""
        return await self._desk().decline(request, peer)

    async def assign(self, request: AssignRequest, peer: Peer) -> AssignReply:
        """Say which combiner a client works below; see `Controller`."""
        if self._controller is None:
            return await super().assign(request, peer)
        if request.mmar_digest and request.mmar_digest != self._digest:
            return unmatched(
                f"this server runs the MMAR {self._digest:.12}, and the client has "
                f"{request.mmar_digest:.12}"
            )
        return await self._controller.assign(request, peer)

    def _desk(self) -> PackageDesk:
        if self._packages is None:
            msg = "packages are given to clients with a certificate only"
            raise RefusedError(msg, reason="CERT_MISSING", hint="start both with --kit")
        return self._packages
