# SPDX-License-Identifier: Apache-2.0
"""What a server must answer, as it sees it: messages and peers, and nothing of gRPC.

A servicer raises errors of the error tree; `mmar_runner.wire.handlers` makes a status with
a reason of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar

from mmar_runner.errors import RefusedError
from mmar_runner.wire.messages import AssignReply, AssignStatus

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from mmar_runner.wire.admin_codec import SentDownloadItem, UploadAnswer, UploadItem
    from mmar_runner.wire.codec import ReplyItem, SentModelItem, SentPackageItem, UpdateItem
    from mmar_runner.wire.gate import Peer
    from mmar_runner.wire.messages import (
        AdminReply,
        AdminReplyReceipt,
        AdminRequest,
        AssignRequest,
        CrossSiteResult,
        CrossSiteResultReply,
        DeclineReply,
        DeclineRequest,
        DownloadRequest,
        ExchangeReply,
        ExchangeRequest,
        ExecutePart,
        ExecuteRequest,
        GetModelRequest,
        GetPackageRequest,
        GetValidationModelsRequest,
        HealthCheckRequest,
        HealthCheckResponse,
        HeartbeatReply,
        HeartbeatRequest,
        LoginReply,
        LoginRequest,
        LogoutReply,
        LogoutRequest,
        QuitReply,
        QuitRequest,
        RegisterReply,
        RegisterRequest,
        ResultReply,
        ResultRequest,
        RetrieveRequest,
    )


_Part_co = TypeVar("_Part_co", covariant=True)
_Answer_contra = TypeVar("_Answer_contra", contravariant=True)


class PartStream(ABC, Generic[_Part_co, _Answer_contra]):
    """One call in which parts come and answers go, as the servicer sees it."""

    @abstractmethod
    async def read(self) -> _Part_co | None:
        """Return the next part, or None once the peer has no more to say."""

    @abstractmethod
    async def write(self, item: _Answer_contra) -> None:
        """Send one answer."""


#: One SubmitUpdate, and one Upload.
UpdateStream: TypeAlias = PartStream["UpdateItem", "ReplyItem"]
UploadStream: TypeAlias = PartStream["UploadItem", "UploadAnswer"]


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

    async def submit_best_local_model(self, stream: UpdateStream, peer: Peer) -> None:
        """Receive a client's best local model, if models are validated across sites."""
        raise _no_cross_site(stream, peer)

    def get_validation_models(
        self, request: GetValidationModelsRequest, peer: Peer
    ) -> AsyncIterator[SentModelItem]:
        """Yield header and bytes of the next model that a client is to validate, likewise."""
        raise _no_cross_site(request, peer)

    async def submit_cross_site_result(
        self, request: CrossSiteResult, peer: Peer
    ) -> CrossSiteResultReply:
        """Hear what a model is worth on a client's data, likewise."""
        raise _no_cross_site(request, peer)

    async def exchange(self, request: ExchangeRequest, peer: Peer) -> ExchangeReply:
        """Hold a payload until its phase is complete; a server without such refuses."""
        del peer
        msg = f"nothing is exchanged here under the topic {request.topic[:64]!r}"
        raise RefusedError(msg, reason="TOPIC_UNKNOWN")

    @abstractmethod
    async def send_result(self, request: ResultRequest, peer: Peer) -> ResultReply:
        """Process a result."""


def _no_cross_site(*_asked: object) -> RefusedError:
    msg = "no cross-site validation goes on now"
    return RefusedError(msg, reason="CROSS_SITE_CLOSED", hint="it comes after the last round")


class DiscoveryServicer(ABC):
    """What a server answers to clients that have nothing but a start-up kit."""

    @abstractmethod
    def get_package(self, request: GetPackageRequest, peer: Peer) -> AsyncIterator[SentPackageItem]:
        """Yield a header and the bytes of the package that is deployed here."""

    @abstractmethod
    async def decline(self, request: DeclineRequest, peer: Peer) -> DeclineReply:
        """Hear that a site will not run the MMAR."""

    async def assign(self, request: AssignRequest, peer: Peer) -> AssignReply:
        """Say which combiner a client is to work below; a server without such says so."""
        del request, peer
        return unmatched(
            "this server assigns nobody (it was started without --assign, or is a combiner)"
        )


def unmatched(message: str) -> AssignReply:
    """Return the answer to a client that is started for something else.

    Args:
        message: What differs.
    """
    return AssignReply(status=AssignStatus.ASSIGN_STATUS_UNMATCHED_CONFIG, message=message)


class HealthServicer(ABC):
    """What a server answers to whoever looks whether it works."""

    @abstractmethod
    async def check(self, request: HealthCheckRequest, peer: Peer) -> HealthCheckResponse:
        """Say whether a service can be used."""

    @abstractmethod
    def watch(self, request: HealthCheckRequest, peer: Peer) -> AsyncIterator[HealthCheckResponse]:
        """Say it, and again whenever that changes."""


class RequestsServicer(ABC):
    """What a server answers to clients that wait for administrators' requests."""

    @abstractmethod
    def retrieve(self, request: RetrieveRequest, peer: Peer) -> AsyncIterator[AdminRequest]:
        """Yield one empty message, then requests for as long as the client listens."""

    @abstractmethod
    async def send_reply(self, reply: AdminReply, peer: Peer) -> AdminReplyReceipt:
        """Hear the answer to a request."""


class AdminServicer(ABC):
    """What a server answers to administrators."""

    @abstractmethod
    async def login(self, request: LoginRequest, peer: Peer) -> LoginReply:
        """Open a session."""

    @abstractmethod
    async def logout(self, request: LogoutRequest, peer: Peer) -> LogoutReply:
        """End a session."""

    @abstractmethod
    def execute(self, request: ExecuteRequest, peer: Peer) -> AsyncIterator[ExecutePart]:
        """Carry out one order and yield what comes of it."""

    @abstractmethod
    async def upload(self, stream: UploadStream, peer: Peer) -> None:
        """Receive one package."""

    @abstractmethod
    def download(self, request: DownloadRequest, peer: Peer) -> AsyncIterator[SentDownloadItem]:
        """Yield a header and the bytes of a file."""
