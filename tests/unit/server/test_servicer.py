# SPDX-License-Identifier: Apache-2.0
"""Who may still join a run that is over."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from mmar_runner.errors import RefusedError
from mmar_runner.server.calls.servicer import Servicer
from mmar_runner.wire.gate import Peer
from mmar_runner.wire.messages import RegisterReply, RegisterRequest, RunEnd

PEER = Peer("ipv4:127.0.0.1:1")


@pytest.fixture
def servicer() -> Servicer:
    """One whose run has failed while site-1 was there."""
    assignments: Any = SimpleNamespace(
        outcome=lambda: RunEnd(status="failed", reason="no data"), round_number=lambda: 3
    )
    members: Any = SimpleNamespace(
        present=lambda: ["site-1"],
        register=lambda *_: "token",
        token_seconds=1.0,
        lease_seconds=2.0,
    )
    nobody: Any = None
    results: Any = SimpleNamespace(topics=())
    return Servicer(
        RegisterReply(run_number=1),
        assignments=assignments,
        members=members,
        downloads=nobody,
        reception=nobody,
        results=results,
        exchange=nobody,
    )


async def test_a_client_that_was_killed_as_the_run_ended_is_let_in_to_hear_how(
    servicer: Servicer,
) -> None:
    reply = await servicer.register(RegisterRequest(client_name="site-1"), PEER)
    assert (reply.token, reply.run_number) == ("token", 1)


async def test_others_are_told_at_once(servicer: Servicer) -> None:
    with pytest.raises(RefusedError, match="the run has failed: no data") as caught:
        await servicer.register(RegisterRequest(client_name="site-2"), PEER)
    assert caught.value.reason == "RUN_OVER"
