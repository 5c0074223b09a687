# SPDX-License-Identifier: Apache-2.0
"""Refusals on the wire: stable reason ids to gRPC status and back.

A refusal is a status with the reason in trailing metadata, because a status alone
cannot tell "this name is taken" from "this token is unknown". A status without a
reason comes from gRPC itself: nobody answers, or the connection broke.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeAlias

import grpc

from mmar_runner.documents.words import printable
from mmar_runner.errors import (
    MmarRunnerError,
    NotAuthorizedError,
    RefusedError,
    UnreachableError,
    WireError,
)

if TYPE_CHECKING:
    from grpc.aio import AioRpcError

REASON_KEY: Final = "mmar-reason"
HINT_KEY: Final = "mmar-hint-bin"

_Code: TypeAlias = grpc.StatusCode

#: Reason id to status. A reason that is not here travels as FAILED_PRECONDITION.
STATUS_OF_REASON: Final = {
    "NAME_INVALID": _Code.INVALID_ARGUMENT,
    "NAME_TAKEN": _Code.ALREADY_EXISTS,
    "TASK_MISMATCH": _Code.INVALID_ARGUMENT,
    "TOO_MANY_CLIENTS": _Code.RESOURCE_EXHAUSTED,
    "TOKEN_INVALID": _Code.UNAUTHENTICATED,
    "TOKEN_EXPIRED": _Code.UNAUTHENTICATED,
    "TOKEN_NOT_BOUND": _Code.UNAUTHENTICATED,
    "CERT_MISSING": _Code.UNAUTHENTICATED,
    "CERT_INVALID": _Code.UNAUTHENTICATED,
    "CERT_EXPIRED": _Code.UNAUTHENTICATED,
    "CERT_NOT_YET_VALID": _Code.UNAUTHENTICATED,
    "CERT_REVOKED": _Code.UNAUTHENTICATED,
    "CERT_PROJECT": _Code.UNAUTHENTICATED,
    "ROLE": _Code.PERMISSION_DENIED,
    "NAME_MISMATCH": _Code.PERMISSION_DENIED,
    "CLIENT_REMOVED": _Code.PERMISSION_DENIED,
    "NOT_ASSIGNED": _Code.PERMISSION_DENIED,
    "SERVES_AT": _Code.INVALID_ARGUMENT,
    "NOT_AUTHORIZED": _Code.PERMISSION_DENIED,
    "AUTHORIZATION_MISSING": _Code.PERMISSION_DENIED,
    "USER_MISSING": _Code.PERMISSION_DENIED,
    "USER_UNKNOWN": _Code.PERMISSION_DENIED,
    "SITE_UNKNOWN": _Code.PERMISSION_DENIED,
    "BYOC_NOT_ALLOWED": _Code.PERMISSION_DENIED,
    "DATALIST_NOT_ALLOWED": _Code.PERMISSION_DENIED,
    "PATH": _Code.PERMISSION_DENIED,
    "SHELL_REFUSED": _Code.PERMISSION_DENIED,
    "FILE_MISSING": _Code.NOT_FOUND,
    "NOT_TEXT": _Code.INVALID_ARGUMENT,
    "UNSAFE_PATH": _Code.INVALID_ARGUMENT,
    "UNSAFE_ENTRY": _Code.INVALID_ARGUMENT,
    "RATE_LIMITED": _Code.RESOURCE_EXHAUSTED,
    "TOO_MANY_CALLS": _Code.RESOURCE_EXHAUSTED,
    "TOO_MANY_INSTANCES": _Code.RESOURCE_EXHAUSTED,
    "TOO_MANY_RESULTS": _Code.RESOURCE_EXHAUSTED,
    "ROUND_MISMATCH": _Code.FAILED_PRECONDITION,
    "NOT_A_PARTICIPANT": _Code.FAILED_PRECONDITION,
    "CROSS_SITE_CLOSED": _Code.FAILED_PRECONDITION,
    "RUN_MISMATCH": _Code.FAILED_PRECONDITION,
    "NO_RUN": _Code.UNAVAILABLE,
    "SERVICE_UNKNOWN": _Code.NOT_FOUND,
    "RUN_OVER": _Code.OUT_OF_RANGE,
    "SERVER_STOPPING": _Code.UNAVAILABLE,
    "BASE_MISMATCH": _Code.FAILED_PRECONDITION,
    "SCHEMA": _Code.INVALID_ARGUMENT,
    "FORMAT": _Code.INVALID_ARGUMENT,
    "NON_FINITE": _Code.INVALID_ARGUMENT,
    "WEIGHT": _Code.INVALID_ARGUMENT,
    "KIND": _Code.INVALID_ARGUMENT,
    "CODEC": _Code.INVALID_ARGUMENT,
    "COMPRESSION": _Code.INVALID_ARGUMENT,
    "METRICS": _Code.INVALID_ARGUMENT,
    "DIGEST": _Code.DATA_LOSS,
    "TOO_LARGE": _Code.RESOURCE_EXHAUSTED,
    "EXCHANGE_OVER": _Code.FAILED_PRECONDITION,
    "EXCHANGE_PHASE": _Code.FAILED_PRECONDITION,
    "EXCHANGE_PAYLOAD": _Code.INVALID_ARGUMENT,
    "EXCHANGE_TOO_FEW": _Code.FAILED_PRECONDITION,
    "EXCHANGE_LOST": _Code.FAILED_PRECONDITION,
    "TOO_SLOW": _Code.DEADLINE_EXCEEDED,
    "TOO_MANY_ATTEMPTS": _Code.RESOURCE_EXHAUSTED,
    "TOO_MANY_UPLOADS": _Code.RESOURCE_EXHAUSTED,
    "DISK_FULL": _Code.RESOURCE_EXHAUSTED,
    "STORAGE": _Code.INTERNAL,
    "JOURNAL": _Code.INTERNAL,
    "AUDIT_WRITE": _Code.INTERNAL,
    "AUDIT_ALTERED": _Code.INTERNAL,
    "AUDIT_OVERLOADED": _Code.RESOURCE_EXHAUSTED,
    "AUDIT_CLOSED": _Code.UNAVAILABLE,
    "PROTOCOL": _Code.INVALID_ARGUMENT,
    "TOPIC_UNKNOWN": _Code.NOT_FOUND,
    "MODEL_UNKNOWN": _Code.NOT_FOUND,
    "INTERNAL": _Code.INTERNAL,
}

#: Status of calls that another attempt may serve.
_TRANSIENT: Final = {_Code.UNAVAILABLE, _Code.DEADLINE_EXCEEDED, _Code.CANCELLED}

#: Letters of a sentence that travels. All of a status must fit one header frame, in which
#: a letter may take twelve bytes.
_MAX_TEXT: Final = 600

#: What gRPC says of a write on a stream that the peer has just ended. The peer's own
#: status is lost then; the next attempt is told it again.
_BROKEN_WRITE: Final = "Internal error from Core"

#: gRPC names the address, which the sentence does too, several times before the cause.
_NOT_CONNECTED: Final = re.compile(r".*Failed to connect to remote host: (.+)", re.DOTALL)

#: What gRPC says of connections, in its own words, and what that means to whoever waits.
_PLAIN_WORDS: Final = {
    "Cancelling all calls": "it has closed the connection; it is stopping, or starting again",
    "Socket closed": "the connection was closed",
    "Deadline Exceeded": "it did not answer in time",
    "recvmsg:Connection reset by peer": "the connection broke off",
}

#: What gRPC says of a port where something listens that does not speak HTTP/2.
_ANOTHER_PROGRAM: Final = "Failed parsing HTTP/2"
_NO_SERVER: Final = (
    "is this the port of run-server, or another program's? A proxy before the server must pass "
    "HTTP/2 on; to give up after a while: --connect-timeout SECONDS"
)


def status_of(error: MmarRunnerError) -> _Code:
    """Return the gRPC status that carries an error."""
    # A policy's refusal has the reason of its rule, and there are many rules.
    denied = isinstance(error, NotAuthorizedError)
    otherwise = _Code.PERMISSION_DENIED if denied else _Code.FAILED_PRECONDITION
    return STATUS_OF_REASON.get(error.reason, otherwise)


def trailing_metadata(error: MmarRunnerError) -> tuple[tuple[str, str | bytes], ...]:
    """Return the metadata that carries an error's reason and hint."""
    reason: tuple[str, str | bytes] = (REASON_KEY, error.reason)
    if error.hint is None:
        return (reason,)
    return (reason, (HINT_KEY, shortened(error.hint).encode()))


def shortened(text: str) -> str:
    """Return a sentence as it may travel: what is too long for a status would be lost."""
    return text if len(text) <= _MAX_TEXT else f"{text[: _MAX_TEXT - 1]}…"


def translate(error: AioRpcError, target: str) -> WireError:
    """Return what an RPC error means to the caller.

    Args:
        error: What gRPC raised.
        target: The address that was called, for the sentence.

    Returns:
        A `RefusedError` if the peer gave a reason, else an `UnreachableError` if
        another attempt may succeed, else a plain `WireError`.
    """
    trailing = {str(key): value for key, value in error.trailing_metadata() or ()}
    reason = trailing.get(REASON_KEY)
    # A peer that is not to be trusted says it; it ends on a screen, and in logs.
    details = printable(error.details() or error.code().name)
    if reason is not None:
        hint = trailing.get(HINT_KEY)
        text = printable(hint.decode(errors="replace")) if isinstance(hint, bytes) else None
        return RefusedError(details, reason=printable(str(reason)), hint=text)
    if error.code() in _TRANSIENT or details == _BROKEN_WRITE:
        if _ANOTHER_PROGRAM in details:
            return UnreachableError(f"{target} answers, but is no gRPC server", hint=_NO_SERVER)
        found = _NOT_CONNECTED.fullmatch(details)
        why = found[1] if found else _PLAIN_WORDS.get(details, details)
        return UnreachableError(f"no answer from {target}: {why}")
    if error.code() is _Code.RESOURCE_EXHAUSTED:
        return RefusedError(f"{target} is overloaded: {details}", reason="OVERLOADED")
    if error.code() is _Code.UNIMPLEMENTED:
        hint = (
            "is it the port for clients where administrators have another, "
            "another version of the runner, or a server that was started for one run?"
        )
        msg = f"{target} does not know this call"
        return RefusedError(msg, reason="UNIMPLEMENTED", hint=hint)
    return WireError(f"{target} answered {error.code().name}: {details}")
