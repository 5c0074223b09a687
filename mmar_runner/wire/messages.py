# SPDX-License-Identifier: Apache-2.0
"""Every message of the protocol under one name, so that no other file knows how they are made."""

from mmar_runner.wire.proto.admin_communicating_pb2 import ResultReply, ResultRequest
from mmar_runner.wire.proto.federated_training_pb2 import (
    ClientState,
    GetModelRequest,
    HeartbeatReply,
    HeartbeatRequest,
    ModelHeader,
    ModelPart,
    QuitReply,
    QuitRequest,
    RegisterReply,
    RegisterRequest,
    RunEnd,
    TaskFailure,
    UpdateBegin,
    UpdateCommit,
    UpdateCredit,
    UpdatePart,
    UpdateReady,
    UpdateReceipt,
    UpdateReply,
)

__all__ = [
    "ClientState",
    "GetModelRequest",
    "HeartbeatReply",
    "HeartbeatRequest",
    "ModelHeader",
    "ModelPart",
    "QuitReply",
    "QuitRequest",
    "RegisterReply",
    "RegisterRequest",
    "ResultReply",
    "ResultRequest",
    "RunEnd",
    "TaskFailure",
    "UpdateBegin",
    "UpdateCommit",
    "UpdateCredit",
    "UpdatePart",
    "UpdateReady",
    "UpdateReceipt",
    "UpdateReply",
]
