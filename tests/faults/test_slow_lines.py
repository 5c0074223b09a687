# SPDX-License-Identifier: Apache-2.0
"""A line that is slow, but alive, costs time: no lease, no connection, no false word."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mmar_runner.interfaces.observer import Topic
from mmar_runner.testing.builders import MmarBuilder
from mmar_runner.testing.processes import RunningClient, RunningServer
from mmar_runner.wire.keepalive import keepalive
from mmar_runner.wire.limits import KEEPALIVE_TIME_MS, KEEPALIVE_TIMEOUT_MS
from tests.faults.proxy import Proxy
from tests.faults.weather import Weather

#: ``MMAR_FAULT_LINE=32000,4`` tries a line of so many bytes a second and a model of so many MB.
RATE, MODEL_MB = map(float, os.environ.get("MMAR_FAULT_LINE", "128000,1").split(","))
DELAY = 0.3
#: Bytes that the line takes at once: little waits before it.
PORTION = 4096


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_slow_line_costs_time_and_nothing_else(tmp_path: Path) -> None:
    """What is under way takes longer than a lease; the lease holds all the same."""
    builder = MmarBuilder().server(heart_beat_timeout=4, num_rounds=1)
    mmar = builder.model_persistor("EchoModelPersistor", size_mb=MODEL_MB).write(tmp_path)
    seconds = 2 * MODEL_MB * 1e6 / RATE
    values = {"MIN_NUM_CLIENTS": 2}
    with RunningServer(mmar, tmp_path / "ws", variables=values) as server:
        address, clients = server.address(), tmp_path / "clients"
        with (
            Proxy(address, Weather(rate=RATE, delay=DELAY, slice=PORTION)) as line,
            RunningClient(mmar, line.address, "site-1", clients, variables=values) as slow,
            RunningClient(mmar, address, "site-2", clients, variables=values),
        ):
            assert server.wait(timeout=60 + 2 * seconds) == 0, server.stderr
            submitted = slow.wait_for(Topic.SUBMITTED)
            # The farewell may come over another one, once the server is gone.
            assert line.connections <= 2
            assert slow.observations(Topic.UNREACHABLE) == []
        assert server.observations(Topic.CLIENT_LEFT, client="site-1") in (
            [],
            server.observations(Topic.CLIENT_LEFT, client="site-1", reason="finished"),
        )
        shown = server.observations(Topic.CLIENT_PROGRESS, client="site-1")
    assert submitted["seconds"] > 0.8 * seconds / 2
    done = [one["done"] for one in shown]
    assert len(done) >= 3
    sent = done[done.index(max(done)) + 1 :]  # the model is there: what follows is the update
    assert sent == sorted(sent)


def test_who_is_gone_is_seen_within_40_seconds() -> None:
    """Silence for so long, and for so long again after a probe, whose answer's time decides."""
    assert KEEPALIVE_TIME_MS + KEEPALIVE_TIMEOUT_MS <= 40_000
    options = dict(keepalive("127.0.0.1:8002"))
    assert options["grpc.keepalive_time_ms"] == KEEPALIVE_TIME_MS
    assert options["grpc.http2.ping_timeout_ms"] == KEEPALIVE_TIMEOUT_MS


def test_a_socket_of_this_machine_is_not_probed() -> None:
    """Ten thousand simulated clients would be a thousand probes a second."""
    assert dict(keepalive("unix:/tmp/server"))["grpc.keepalive_time_ms"] == 2**31 - 1
