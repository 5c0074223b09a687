# SPDX-License-Identifier: Apache-2.0
"""A client that speaks the protocol by hand, over mutual TLS or plain text."""

from __future__ import annotations

import secrets
from hashlib import sha256
from typing import Any, Self

import grpc
import grpc.aio

from mmar_runner.errors import RefusedError, UnreachableError
from mmar_runner.wire.channel import open_channel
from mmar_runner.wire.credentials import TlsFiles, channel_credentials
from mmar_runner.wire.messages import (
    GetModelRequest,
    HeartbeatRequest,
    ModelHeader,
    QuitRequest,
    RegisterRequest,
    UpdateBegin,
    UpdateCommit,
    UpdateCredit,
    UpdateReady,
    UpdateReceipt,
)
from mmar_runner.wire.packing import Packed, unpack
from mmar_runner.wire.stub import FederationStub

CHUNK = 1 << 20


class Attacker:
    """One session, registered or not. Use it as an asynchronous context manager."""

    def __init__(self, arena: Any, channel: Any, tls: TlsFiles | None, name: str) -> None:
        self.arena = arena
        self.channel = channel
        self.tls = tls
        self.stub = FederationStub(channel)
        self.name = name
        self.key = secrets.token_bytes(32)
        self.token = ""
        self.header = ModelHeader()
        self.model = b""
        self.neighbour: Any = None  # the session of its owner that joined before it

    async def __aenter__(self) -> Self:
        reply = await self.register()
        self.token = reply.token
        self.arena.run_number, self.arena.epoch = reply.run_number, reply.epoch
        self.arena.secrets.add(reply.token)
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await self.stub.quit(QuitRequest(token=self.token), timeout=10)
        except RefusedError as error:
            if error.reason != "TOKEN_INVALID":  # it may have left, or lost it, on purpose
                raise
            self.arena.count(self, error.reason)

    def another_channel(self) -> Any:
        """Open a further connection of the same owner."""
        return dial(self.arena.address, self.tls)

    def raw_channel(self, **options: Any) -> Any:
        """Open a connection whose messages may be of any size."""
        options["options"] = [("grpc.max_send_message_length", -1)]
        if self.tls is None:
            return grpc.aio.insecure_channel(self.arena.address, **options)
        shown = channel_credentials(self.tls)
        return grpc.aio.secure_channel(self.arena.address, shown, **options)

    async def register(self, **changes: Any) -> Any:
        facts = {"client_name": self.name, "session_key": self.key, "task_name": "echo"}
        facts |= {"update_codecs": ["fp16", "bf16", "i32", "i64"], "compressions": ["zstd"]}
        return await self.stub.register(RegisterRequest(**{**facts, **changes}), timeout=10)

    async def heartbeat(self, token: str | None = None) -> Any:
        request = HeartbeatRequest(token=self.token if token is None else token)
        return await self.stub.heartbeat(request, timeout=10)

    async def download(self, **changes: Any) -> tuple[ModelHeader, bytes]:
        """Return the header and the bytes that follow it."""
        call = self.stub.get_model(
            GetModelRequest(**{"token": self.token, "after_round": -1, **changes})
        )
        header, data = None, bytearray()
        async for item in call:
            if header is None:
                header = item
                small = Packed(header.total_bytes, header.inline)
                data += unpack(small) if header.packed else header.inline
            else:
                data += unpack(item)
            if len(data) + header.offset >= header.total_bytes:
                break
        call.cancel()
        assert header is not None
        return header, bytes(data)

    def begin(self, data: bytes, **changes: Any) -> UpdateBegin:
        facts = {
            "token": self.token,
            "run_number": self.arena.run_number,
            "round": self.header.round,
            "base_sha256": self.header.sha256,
            "total_bytes": len(data),
            "update_id": secrets.token_hex(8),
            "num_samples": 1.0,
            "kind": "weights",
        }
        return UpdateBegin(**{**facts, **changes})

    async def submit(
        self, data: bytes, *, sha: str | None = None, chunk: int = CHUNK, **changes: Any
    ) -> UpdateReceipt:
        """Submit bytes in chunks, as a session does, and return the receipt."""
        begin = self.begin(data, **changes)
        for _ in range(5):
            try:
                return await self._submit(begin, data, sha, chunk)
            except UnreachableError:
                self.arena.evidence.lost += (
                    1  # a refusal lost to a write under way: it is told again
                )
        return await self._submit(begin, data, sha, chunk)

    async def _submit(
        self, begin: UpdateBegin, data: bytes, sha: str | None, chunk: int
    ) -> UpdateReceipt:
        call = self.stub.submit_update()
        await call.write(begin)
        reply = await call.read()
        if isinstance(reply, UpdateReceipt):
            return reply
        assert isinstance(reply, UpdateReady)
        position, credits_ = reply.offset, reply.credits
        while position < len(data):
            while not credits_:
                more = await call.read()
                assert isinstance(more, UpdateCredit)
                credits_ += more.credits
            try:
                await call.write(data[position : position + chunk])
            except UnreachableError:
                await call.read()  # what the server had to say
                raise
            position += chunk
            credits_ -= 1
        await call.write(UpdateCommit(sha256=sha or sha256(data).hexdigest()))
        while not isinstance(reply := await call.read(), UpdateReceipt):
            assert isinstance(reply, UpdateCredit)
        call.cancel()
        return reply

    async def submit_inline(
        self, data: bytes, *, sha: str | None = None, **changes: Any
    ) -> UpdateReceipt:
        call = self.stub.submit_update()
        digest = sha or sha256(data).hexdigest()
        await call.write(self.begin(data, **{"inline": data, "sha256": digest, **changes}))
        receipt = await call.read()
        call.cancel()
        assert isinstance(receipt, UpdateReceipt)
        return receipt


def dial(address: str, tls: TlsFiles | None) -> Any:
    """Open a connection."""
    return open_channel(address, credentials=None if tls is None else channel_credentials(tls))
