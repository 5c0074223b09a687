# SPDX-License-Identifier: Apache-2.0
"""Tokens are renewed while models and sums are on their way, on both sides of a combiner."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mmar_runner.cli.starting.validated import validated
from mmar_runner.client.session import run_session
from mmar_runner.client.settings import SessionSettings
from mmar_runner.combiner.run import CombinerSettings, run_combiner
from mmar_runner.federation.run_status import RunStatus
from mmar_runner.hooks import load_plugins
from mmar_runner.interfaces.observer import Topic
from mmar_runner.server.members.session_tokens import SessionTokens
from mmar_runner.server.run import run_server
from mmar_runner.server.settings import ServerSettings
from mmar_runner.storage.durability import Durability
from mmar_runner.testing.builders import MmarBuilder
from mmar_runner.testing.processes import free_port
from mmar_runner.testing.recorder import Recorder
from tests.faults.proxy import Proxy
from tests.faults.weather import Weather

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
#: A token is good for so long, in seconds; a heartbeat comes every second.
TOKEN_SECONDS = 6.0
#: Bytes of a model, and a second on the line to the root: a sum of float64 takes eight of them.
MODEL_MB, RATE = 26.0, 4e6


def rounds_over_a_slow_line(folder: Path) -> tuple[Recorder, ...]:
    """Run a round of root, combiner and site; return what each observed."""
    builder = MmarBuilder().server(heart_beat_timeout=3, num_rounds=1, min_num_clients=1)
    mmar = builder.model_persistor("EchoModelPersistor", size_mb=MODEL_MB).write(folder)
    plugins, observers = load_plugins(), tuple(Recorder() for _ in range(3))
    spec = validated(mmar, plugins, side="server", settings={})
    ours = validated(mmar, plugins, side="client", settings={}, client_name="site-1")
    root, below = (f"127.0.0.1:{free_port()}" for _ in range(2))
    server = ServerSettings(
        spec=spec,
        workspace=folder / "root",
        listen=root,
        durability=Durability.PROCESS,
        token_seconds=TOKEN_SECONDS,
    )
    site = SessionSettings(ours, below, "site-1", folder / "site")
    with Proxy(root, Weather(rate=RATE)) as line:
        upward = SessionSettings(spec, line.address, "east", folder / "up", combines=True)
        lower = replace(server, workspace=folder / "east", listen=below)
        stop = asyncio.Event()
        works: list[Coroutine[Any, Any, Any]] = [
            run_server(server, plugins, observers[0], stop),
            run_combiner(CombinerSettings(lower, upward), plugins, observers[1], stop),
            run_session(site, plugins, observers[2], stop),
        ]
        outcomes = asyncio.run(_together(*works))
    assert [one.status for one in outcomes] == [RunStatus.FINISHED] * 3
    return observers


async def _together(*works: Coroutine[Any, Any, Any]) -> list[Any]:
    return await asyncio.gather(*works)


def test_a_transfer_that_outlasts_tokens_goes_on_and_nobody_registers_again(
    tmp_path: Path,
) -> None:
    root, combiner, site = rounds_over_a_slow_line(tmp_path)
    (submitted,) = combiner.all(Topic.SUBMITTED)
    assert submitted.data["seconds"] > 2 * TOKEN_SECONDS, "no token outlived its transfer"
    assert not submitted.data["duplicate"]
    assert len(site.all(Topic.REGISTERED)) == len(combiner.all(Topic.REGISTERED)) == 1
    assert root.all(Topic.CLIENT_BACK) == combiner.all(Topic.CLIENT_BACK) == []


def test_a_server_that_renews_none_has_its_clients_register_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the test above would see."""
    monkeypatch.setattr(SessionTokens, "renewed", lambda *_: "")
    root, combiner, _ = rounds_over_a_slow_line(tmp_path)
    assert len(combiner.all(Topic.REGISTERED)) > 1
    assert root.all(Topic.CLIENT_BACK)
