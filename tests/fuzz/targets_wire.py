# SPDX-License-Identifier: Apache-2.0
"""Targets: messages of the protocol, and what is believed of them."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any, Final

from google.protobuf.message import DecodeError

from mmar_runner.client.delivery.package_file import IncomingPackage
from mmar_runner.errors import RefusedError
from mmar_runner.server.calls.announcement import accepted, check_announcement, check_inline
from mmar_runner.server.members.registry import ClientRegistry
from mmar_runner.server.records.record import AcceptedUpdate
from mmar_runner.server.wording import plain
from mmar_runner.wire import codec, methods
from mmar_runner.wire.messages import HeartbeatRequest, PackageHeader, RegisterRequest, UpdateBegin
from mmar_runner.wire.update_facts import announced_facts
from tests.fuzz.target import FindingError, Target, scratch
from tests.fuzz.targets_storage import HEADER, SCHEMA

_DECODERS: Final = (
    codec.decode_model_part,
    codec.decode_package_part,
    codec.decode_update_part,
    codec.decode_reply,
)
_UNARY: Final = (
    *(methods.REGISTER, methods.QUIT, methods.HEARTBEAT, methods.SEND_RESULT, methods.DECLINE),
    *(methods.GET_MODEL, methods.GET_PACKAGE),
)
_NEXT: Final = b"\x00NEXT\x00"
_WIRE: Final = (
    *(b"\x0a", b"\x12", b"\x1a", b"\x22", b"\x80\x80\x80\x80\x10", b"\xff" * 9 + b"\x01"),
    *(b"\x00" * 8, b"\x00\x00\x00\x00\x00\x00\xf8\x7f", b"\x00\x00\x00\x00\x00\x00\xf0\x7f"),
)


def _part(data: bytes) -> None:
    if not data:
        return
    item: Any = _DECODERS[data[0] % len(_DECODERS)](data[1:])
    if isinstance(item, memoryview) and len(item) > len(data):
        raise FindingError("a chunk that is longer than its message")


def _requests(data: bytes) -> None:
    """Requests of one message, one after the other, and what the registry makes of them."""
    registry = ClientRegistry(max_clients=3, lease_seconds=60)
    for time, message in enumerate(data.split(_NEXT)[:8]):
        for method in _UNARY:
            with suppress(DecodeError, RefusedError):  # the one by gRPC, the other by us
                request = method.decode_request(message)
                repr(request)
                if isinstance(request, RegisterRequest):
                    _registered(registry, request, time)
                elif isinstance(request, HeartbeatRequest):
                    for client in registry.present():
                        registry.progress(client, request.step, request.steps, "steps")


def _registered(registry: ClientRegistry, request: RegisterRequest, now: int) -> None:
    digest = plain(request.mmar_digest, 64)
    client, _ = registry.register(
        request.client_name, request.session_key, mmar_digest=digest, now=now
    )
    if not client.name.isascii() or "/" in client.name or json.dumps(client.name).count("\\"):
        raise FindingError(f"a name that is no file's: {client.name!a}")


def _announced(data: bytes) -> None:
    """What a client says of its update; what is accepted can be recorded, and read back."""
    begin = codec.decode_update_part(data)
    if not isinstance(begin, UpdateBegin):
        return
    facts = announced_facts(begin)
    check_announcement(begin, facts, SCHEMA, 1e15)
    if begin.inline:
        check_inline(begin, SCHEMA)
    update = accepted(
        "site-1",
        facts,
        begin.sha256,
        seconds_upload=0.0,
        inline=bool(begin.inline),
        wire_bytes=len(begin.inline),
    )
    recorded = json.loads(json.dumps(update.to_json(), allow_nan=False))
    if AcceptedUpdate.from_json(recorded) != update:
        raise FindingError(f"the journal would give back another update than {update}")


def _package_header(data: bytes) -> None:
    """What a server says of an MMAR's package, and its first bytes."""
    item = codec.decode_package_part(data)
    if not isinstance(item, PackageHeader):
        return
    with scratch() as folder:
        package = IncomingPackage(folder)
        try:
            package.begin(item)
            package.write(data[: item.total_bytes])
        finally:
            package.close()
        IncomingPackage(folder).close()


def _words(data: bytes) -> None:
    """Whatever a peer says, one line of it is shown."""
    text = data.decode(errors="replace")
    if not (said := plain(text, 100)).isprintable() or len(said) > 100:
        raise FindingError(f"not one plain line: {said!a}")


TARGETS: Final = (
    Target("part", _part, "parts of models, packages and updates", _WIRE),
    Target("requests", _requests, "requests of clients", (_NEXT, b"site-1", *_WIRE)),
    Target("announced", _announced, "what a client says of its update", (*_WIRE, *HEADER)),
    Target("package_header", _package_header, "what a server says of a package", _WIRE),
    Target("words", _words, "words of a peer that are shown", (b"\x1b[2J", b"\xe2\x80\xae", b"\n")),
)
