# SPDX-License-Identifier: Apache-2.0
"""A heartbeat that is refused ends a session only if the refusal is for good."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from mmar_runner.client.connection.heartbeat import Heartbeat
from mmar_runner.errors import RefusedError


def _refused(reason: str) -> Heartbeat:
    async def try_once(_: object) -> None:
        raise RefusedError("not now", reason=reason)

    registration = SimpleNamespace(lease_seconds=30.0, current_round=0)
    connection: Any = SimpleNamespace(registration=registration, try_once=try_once)
    settings: Any = SimpleNamespace(trust=None, spec=SimpleNamespace(digest=""))
    return Heartbeat(connection, settings)


@pytest.mark.parametrize("reason", ["NO_RUN", "SERVER_STOPPING", "OVERLOADED", "RUN_OVER"])
async def test_between_two_runs_of_a_standing_server_a_client_stays(reason: str) -> None:
    assert await _refused(reason)._try_beat() is None


async def test_a_refusal_for_good_ends_the_session() -> None:
    with pytest.raises(RefusedError, match="not now"):
        await _refused("CLIENT_REMOVED")._try_beat()
