# SPDX-License-Identifier: Apache-2.0
"""The methods of all services: their names, arity and serialisers, once for both sides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final, Generic, TypeVar

from mmar_runner.wire import admin_codec, codec
from mmar_runner.wire.messages import (
    AdminReply,
    AdminReplyReceipt,
    AdminRequest,
    AssignReply,
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

FEDERATED_TRAINING: Final = "mmar_runner.v1.FederatedTraining"
ADMIN_COMMUNICATING: Final = "mmar_runner.v1.AdminCommunicating"
DISCOVERY: Final = "mmar_runner.v1.Discovery"
ADMIN: Final = "mmar_runner.v1.Admin"
#: The standard service, whose messages are its library's.
HEALTH: Final = "grpc.health.v1.Health"

_Request = TypeVar("_Request")
_Reply = TypeVar("_Reply")


@dataclass(frozen=True, slots=True)
class Method(Generic[_Request, _Reply]):
    """One RPC: where it lives and how its messages become bytes."""

    service: str
    name: str
    encode_request: Callable[[_Request], bytes]
    decode_request: Callable[[bytes], _Request]
    encode_reply: Callable[[_Reply], bytes]
    decode_reply: Callable[[bytes], _Reply]

    @property
    def path(self) -> str:
        """The full name, as gRPC wants it."""
        return f"/{self.service}/{self.name}"


def _plain(service: str, name: str, request: Any, reply: Any) -> Method[Any, Any]:
    return Method(
        service,
        name,
        request.SerializeToString,
        request.FromString,
        reply.SerializeToString,
        reply.FromString,
    )


REGISTER: Final[Method[RegisterRequest, RegisterReply]] = _plain(
    FEDERATED_TRAINING, "Register", RegisterRequest, RegisterReply
)
QUIT: Final[Method[QuitRequest, QuitReply]] = _plain(
    FEDERATED_TRAINING, "Quit", QuitRequest, QuitReply
)
HEARTBEAT: Final[Method[HeartbeatRequest, HeartbeatReply]] = _plain(
    FEDERATED_TRAINING, "Heartbeat", HeartbeatRequest, HeartbeatReply
)
GET_MODEL: Final[Method[GetModelRequest, Any]] = Method(
    FEDERATED_TRAINING,
    "GetModel",
    GetModelRequest.SerializeToString,
    GetModelRequest.FromString,
    codec.encode_model_part,
    codec.decode_model_part,
)
SUBMIT_UPDATE: Final[Method[codec.UpdateItem, codec.ReplyItem]] = Method(
    FEDERATED_TRAINING,
    "SubmitUpdate",
    codec.encode_update_part,
    codec.decode_update_part,
    codec.encode_reply,
    codec.decode_reply,
)
SUBMIT_BEST_LOCAL_MODEL: Final[Method[codec.UpdateItem, codec.ReplyItem]] = replace(
    SUBMIT_UPDATE, name="SubmitBestLocalModel"
)
GET_VALIDATION_MODELS: Final[Method[GetValidationModelsRequest, Any]] = Method(
    FEDERATED_TRAINING,
    "GetValidationModels",
    GetValidationModelsRequest.SerializeToString,
    GetValidationModelsRequest.FromString,
    codec.encode_model_part,
    codec.decode_model_part,
)
SUBMIT_CROSS_SITE_VALIDATION_RESULTS: Final[Method[CrossSiteResult, CrossSiteResultReply]] = _plain(
    FEDERATED_TRAINING, "SubmitCrossSiteValidationResults", CrossSiteResult, CrossSiteResultReply
)
EXCHANGE: Final[Method[ExchangeRequest, ExchangeReply]] = _plain(
    FEDERATED_TRAINING, "Exchange", ExchangeRequest, ExchangeReply
)
SEND_RESULT: Final[Method[ResultRequest, ResultReply]] = _plain(
    ADMIN_COMMUNICATING, "SendResult", ResultRequest, ResultReply
)
GET_PACKAGE: Final[Method[GetPackageRequest, Any]] = Method(
    DISCOVERY,
    "GetPackage",
    GetPackageRequest.SerializeToString,
    GetPackageRequest.FromString,
    codec.encode_package_part,
    codec.decode_package_part,
)
DECLINE: Final[Method[DeclineRequest, DeclineReply]] = _plain(
    DISCOVERY, "Decline", DeclineRequest, DeclineReply
)
ASSIGN: Final[Method[AssignRequest, AssignReply]] = _plain(
    DISCOVERY, "Assign", AssignRequest, AssignReply
)
RETRIEVE: Final[Method[RetrieveRequest, AdminRequest]] = _plain(
    ADMIN_COMMUNICATING, "Retrieve", RetrieveRequest, AdminRequest
)
SEND_REPLY: Final[Method[AdminReply, AdminReplyReceipt]] = _plain(
    ADMIN_COMMUNICATING, "SendReply", AdminReply, AdminReplyReceipt
)
LOGIN: Final[Method[LoginRequest, LoginReply]] = _plain(ADMIN, "Login", LoginRequest, LoginReply)
LOGOUT: Final[Method[LogoutRequest, LogoutReply]] = _plain(
    ADMIN, "Logout", LogoutRequest, LogoutReply
)
EXECUTE: Final[Method[ExecuteRequest, ExecutePart]] = _plain(
    ADMIN, "Execute", ExecuteRequest, ExecutePart
)
UPLOAD: Final[Method[admin_codec.UploadItem, admin_codec.UploadAnswer]] = Method(
    ADMIN,
    "Upload",
    admin_codec.encode_upload_part,
    admin_codec.decode_upload_part,
    admin_codec.encode_upload_reply,
    admin_codec.decode_upload_reply,
)
DOWNLOAD: Final[Method[DownloadRequest, Any]] = Method(
    ADMIN,
    "Download",
    DownloadRequest.SerializeToString,
    DownloadRequest.FromString,
    admin_codec.encode_download_part,
    admin_codec.decode_download_part,
)
HEALTH_CHECK: Final[Method[HealthCheckRequest, HealthCheckResponse]] = _plain(
    HEALTH, "Check", HealthCheckRequest, HealthCheckResponse
)
HEALTH_WATCH: Final[Method[HealthCheckRequest, HealthCheckResponse]] = replace(
    HEALTH_CHECK, name="Watch"
)
