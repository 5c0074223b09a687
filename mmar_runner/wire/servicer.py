# SPDX-License-Identifier: Apache-2.0
"""What a server must answer, as it sees it: messages and peers, and nothing of gRPC.

A servicer raises errors of the error tree; `mmar_runner.wire.handlers` makes a status with
a reason of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from mmar_runner.wire.codec import ReplyItem, SentModelItem, SentPackageItem, UpdateItem
    from mmar_runner.wire.gate import Peer
    from mmar_runner.wire.messages import (
        DeclineReply,
        DeclineRequest,
        GetModelRequest,
        GetPackageRequest,
        HeartbeatReply,
        HeartbeatRequest,
        QuitReply,
        QuitRequest,
        RegisterReply,
        RegisterRequest,
        ResultReply,
        ResultRequest,
    )


class UpdateStream(ABC):
    """One SubmitUpdate as the servicer sees it."""

    @abstractmethod
    async def read(self) -> UpdateItem | None:
        """Return the next part, or None once the client has no more to say."""

    @abstractmethod
    async def write(self, item: ReplyItem) -> None:
        """Send one reply."""


class FederationServicer(ABC):
    """What a server must answer. Errors of the error tree become refusals."""

    @abstractmethod
    async def register(self, request: RegisterRequest, peer: Peer) -> RegisterReply:
        """Join the run."""

    @abstractmethod
    async def quit(self, request: QuitRequest, peer: Peer) -> QuitReply:
        """Leave the run."""

    @abstractmethod
    async def heartbeat(self, request: HeartbeatRequest, peer: Peer) -> HeartbeatReply:
        """Renew a lease."""

    @abstractmethod
    def get_model(self, request: GetModelRequest, peer: Peer) -> AsyncIterator[SentModelItem]:
        """Yield a header and the bytes of a model, when there is one to give."""

    @abstractmethod
    async def submit_update(self, stream: UpdateStream, peer: Peer) -> None:
        """Receive one update."""

    @abstractmethod
    async def send_result(self, request: ResultRequest, peer: Peer) -> ResultReply:
        """Process a result."""


class DiscoveryServicer(ABC):
    """What a server answers to clients that have nothing but a start-up kit."""

    @abstractmethod
    def get_package(self, request: GetPackageRequest, peer: Peer) -> AsyncIterator[SentPackageItem]:
        """Yield a header and the bytes of the package that is deployed here."""

    @abstractmethod
    async def decline(self, request: DeclineRequest, peer: Peer) -> DeclineReply:
        """Hear that a site will not run the MMAR."""
