# SPDX-License-Identifier: Apache-2.0
"""What a client learns when it registers again, whatever its own disk says meanwhile."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from mmar_runner.client.connection.connection import Connection
from mmar_runner.client.connection.registration import RunReplacedError
from mmar_runner.errors import AuditError, RefusedError
from mmar_runner.wire.messages import HeartbeatReply, HeartbeatRequest
from mmar_runner.wire.stub import FederationStub


class FullLog:
    """A site's trust whose audit log cannot be written until its disk is freed."""

    version = 0

    def __init__(self) -> None:
        self.full = False
        self.refused = asyncio.Event()

    def judge_server(self, certificate: bytes) -> None:
        raise AssertionError(certificate)

    def record(self, *_: Any, **__: Any) -> None:
        if self.full:
            self.refused.set()
            raise AuditError("audit.jsonl: No space left on device", reason="AUDIT_WRITE")


async def test_a_run_that_went_back_is_noticed_though_the_audit_log_is_full(
    server: Any, serving: Any, settings: Any, recorder: Any
) -> None:
    """Else the client waits for a round that the run no longer has."""
    trust: Any = FullLog()

    async def beat(stub: FederationStub, token: str) -> HeartbeatReply:
        return await stub.heartbeat(HeartbeatRequest(token=token), timeout=10)

    async with serving(), asyncio.timeout(30):
        connection = Connection(replace(settings, trust=trust), bytes(32), recorder)
        await connection.register()
        server.token, server.epoch, trust.full = "another", "two", True
        calling = asyncio.create_task(connection.call(beat))
        await trust.refused.wait()
        trust.full = False
        with pytest.raises(RunReplacedError):
            await calling
        await connection.close()


@pytest.mark.parametrize(
    ("told", "reason"),
    [({"update_codec": "int1"}, "CODEC"), ({"compression": "lzma"}, "COMPRESSION")],
)
async def test_a_server_that_wants_what_is_not_known_here_is_refused(
    server: Any, serving: Any, settings: Any, recorder: Any, told: dict[str, str], reason: str
) -> None:
    vars(server).update(told)
    async with serving(), asyncio.timeout(30):
        connection = Connection(settings, bytes(32), recorder)
        with pytest.raises(RefusedError) as error:
            await connection.register()
        await connection.close()
    assert error.value.reason == reason
    assert next(iter(told.values())) in error.value.message
    assert list(server.registrations[0].update_codecs) == ["fp16", "bf16", "i32", "i64"]
