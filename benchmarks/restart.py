# SPDX-License-Identifier: Apache-2.0
"""A server that is killed and started again: how soon its run goes on, sessions untouched."""

from __future__ import annotations

import json
import statistics
import tempfile
import threading
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import ours
from mmar_runner.interfaces.observer import Topic
from mmar_runner.testing.processes import RunningClient, RunningServer, free_port

if TYPE_CHECKING:
    from tls import Trusted

#: Long enough that a round is under way when the server dies.
_TRAIN_SECONDS: Final = 0.2
_MODEL_MB: Final = 0.01
_ROUNDS_BETWEEN: Final = 3
#: Until the sessions are there and some rounds are over, on however busy a machine.
_SECONDS: Final = 300.0


def measure(
    *, clients: int, kills: int, away: float, trusted: Trusted | None = None
) -> dict[str, Any]:
    """Kill a server several times and start it again.

    Args:
        clients: Sessions, each a process; nobody touches them.
        kills: How often the server is killed, in one run.
        away: How long it stays away each time, in seconds.
        trusted: The kits of a project and its signed MMAR; None runs with --insecure.

    Returns:
        Seconds from listening again to the next round that opens: the median and the most.
    """
    rounds = _ROUNDS_BETWEEN * (kills + 2)
    settings = {
        "MODEL_MB": _MODEL_MB,
        "NUM_ROUNDS": rounds,
        "MIN_NUM_CLIENTS": clients,
        "SECONDS": _TRAIN_SECONDS,
    }
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, ExitStack() as stack:
        workspace, listen = Path(folder) / "server", f"127.0.0.1:{free_port()}"

        def serve() -> RunningServer:
            mmar, kit = (
                (ours.ECHO, None) if trusted is None else (trusted.mmar, trusted.kits.server)
            )
            server = RunningServer(mmar, workspace, variables=settings, listen=listen, kit=kit)
            return stack.enter_context(server)

        def join(name: str) -> None:
            home = Path(folder) / "clients"
            if trusted is None:
                client = RunningClient(ours.ECHO, listen, name, home, variables=settings)
            else:  # without a folder of its own it takes the MMAR that the server deploys
                client = RunningClient(None, listen, name, home, kit=trusted.kits.client(name))
            stack.enter_context(client)

        server = serve()
        server.address()
        for number in range(1, clients + 1):
            join(f"site-{number}")
        seconds = []
        for kill in range(1, kills + 1):
            finished = kill * _ROUNDS_BETWEEN - 1
            server.wait_for(Topic.ROUND_FINISHED, timeout=_SECONDS, round=finished)
            server.kill()
            threading.Event().wait(away)
            server = serve()
            server.address()
            seconds.append(_seconds_to_next_round(server))
        server.wait(timeout=_SECONDS)
        if server.summary()["status"] != "finished":
            raise RuntimeError(json.dumps(server.summary()))
    return {
        "clients": clients,
        "away_s": away,
        "median_s": statistics.median(seconds),
        "most_s": max(seconds),
    }


def _seconds_to_next_round(server: RunningServer) -> float:
    """Return the time from listening to the opening of a round that was not open before."""
    resumed = server.wait_for(Topic.ROUND_STARTED)["round"]
    server.wait_for(Topic.ROUND_STARTED, round=resumed + 1)
    said = [json.loads(line) for line in server.stdout.splitlines()]
    listening = next(line["time"] for line in said if line["topic"] == Topic.LISTENING)
    opened = next(
        line["time"]
        for line in said
        if line["topic"] == Topic.ROUND_STARTED and line["data"]["round"] == resumed + 1
    )
    return (datetime.fromisoformat(opened) - datetime.fromisoformat(listening)).total_seconds()
