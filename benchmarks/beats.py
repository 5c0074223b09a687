# SPDX-License-Identifier: Apache-2.0
"""How long heartbeats take while every client uploads: the script that one process runs.

With ``--witness`` it is an identity of its own, which does nothing but beat. Without, it is a
real session, trainer child included, whose heartbeats come every tenth of a second instead of
three times a lease, over the connection that carries its models and updates. Both print, once
the run is over, the seconds that each beat took, as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from mmar_runner.client import session as client_session
from mmar_runner.client.connection.heartbeat import Heartbeat
from mmar_runner.client.settings import SessionSettings
from mmar_runner.errors import RefusedError, UnreachableError
from mmar_runner.hooks import load_plugins
from mmar_runner.interfaces.observer import NullObserver
from mmar_runner.mmar.validation import validate
from mmar_runner.storage.memory import settle_memory
from mmar_runner.wire.channel import open_channel
from mmar_runner.wire.messages import HeartbeatRequest, RegisterRequest
from mmar_runner.wire.stub import FederationStub

if TYPE_CHECKING:
    from mmar_runner.wire.messages import HeartbeatReply

#: Seconds between two heartbeats, and until one that nobody answers is given up.
PAUSE: Final = 0.1
LONGEST: Final = 30.0

_seconds: list[float] = []


class TimedHeartbeat(Heartbeat):
    """A session's heartbeat, as it is, but often, and with a watch."""

    async def run(self) -> NoReturn:
        """Beat until cancelled."""
        while True:
            await asyncio.sleep(PAUSE)
            await self._try_beat()

    async def _beat(self, stub: FederationStub, token: str) -> HeartbeatReply:
        begun = time.perf_counter()
        try:
            return await super()._beat(stub, token)
        finally:
            _seconds.append(time.perf_counter() - begun)


async def session(target: str, name: str, mmar: Path, workspace: Path) -> None:
    """Be a client until the run is over."""
    plugins = load_plugins()
    spec = validate(mmar, plugins.registry, side="client", client_name=name).spec
    if spec is None:
        raise ValueError(f"{mmar} cannot be used")
    settings = SessionSettings(spec=spec, target=target, name=name, workspace=workspace / name)
    await client_session.run_session(settings, plugins, NullObserver(), asyncio.Event())


async def witness(target: str, name: str) -> None:
    """Register, and then do nothing but beat, until nobody is there any more."""
    async with open_channel(target) as channel:
        stub = FederationStub(channel, target)
        key, task = os.urandom(32), "echo"
        request = RegisterRequest(client_name=name, session_key=key, task_name=task)
        token = (await stub.register(request, timeout=LONGEST)).token
        while True:
            begun = time.perf_counter()
            try:
                await stub.heartbeat(HeartbeatRequest(token=token), timeout=LONGEST)
            except (RefusedError, UnreachableError):
                return
            _seconds.append(time.perf_counter() - begun)
            await asyncio.sleep(PAUSE)


def main() -> None:
    """Beat until the run is over, and print how long each beat took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target")
    parser.add_argument("name")
    parser.add_argument("--witness", action="store_true")
    parser.add_argument("--mmar", type=Path)
    parser.add_argument("--workspace", type=Path)
    arguments = parser.parse_args()
    target, name = arguments.target, arguments.name
    if arguments.witness:
        asyncio.run(witness(target, name))
    else:
        settle_memory()
        vars(client_session)["Heartbeat"] = TimedHeartbeat
        asyncio.run(session(target, name, arguments.mmar, arguments.workspace))
    print(json.dumps(_seconds))


if __name__ == "__main__":
    main()
