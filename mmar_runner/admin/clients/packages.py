# SPDX-License-Identifier: Apache-2.0
"""What clients are given that have none: the MMAR that is deployed now, and their combiners."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from mmar_runner.errors import RefusedError
from mmar_runner.server.members.controller import RETRY_SECONDS
from mmar_runner.wire.messages import AssignReply, AssignStatus
from mmar_runner.wire.servicer import DiscoveryServicer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from mmar_runner.server.calls.packages import PackageDesk
    from mmar_runner.wire.codec import SentPackageItem
    from mmar_runner.wire.gate import Peer
    from mmar_runner.wire.messages import (
        AssignRequest,
        DeclineReply,
        DeclineRequest,
        GetPackageRequest,
    )


class CurrentPackage(DiscoveryServicer):
    """Answers clients that hold nothing but their kit, for whatever is deployed or open."""

    def __init__(self) -> None:
        self._run: DiscoveryServicer | None = None
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

    @contextmanager
    def assigning(self, run: DiscoveryServicer) -> Iterator[None]:
        """Have a run say which combiners its clients work below, for as long as the block lasts."""
        self._run = run
        try:
            yield
        finally:
            self._run = None

    async def assign(self, request: AssignRequest, peer: Peer) -> AssignReply:
        """Say which combiner a client works below, if a run is open."""
        if self._run is None:
            return AssignReply(
                status=AssignStatus.ASSIGN_STATUS_TRY_AGAIN,
                message="no run is open at the server",
                retry_seconds=RETRY_SECONDS,
            )
        return await self._run.assign(request, peer)

    def _require(self) -> PackageDesk:
        if self._desk is None:
            msg = "nothing is deployed at the server"
            raise RefusedError(msg, reason="NOT_DEPLOYED", hint="deploy MMAR server")
        return self._desk
