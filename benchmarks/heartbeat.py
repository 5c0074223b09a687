# SPDX-License-Identifier: Apache-2.0
"""Heartbeats while every client uploads: what a lease depends on must not wait for bulk."""

from __future__ import annotations

import json
import math
import shutil
import statistics
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import ours
from mmar_runner.testing.processes import RunningServer
from processes import Process, ProcessFailedError

_RUN_SECONDS: Final = 900.0


def measure(*, clients: int, model_mb: float, rounds: int) -> dict[str, Any]:
    """Let real sessions move a model over and over, and measure heartbeats meanwhile.

    Args:
        clients: How many sessions; each also beats every 0.1 s over its own connection.
        model_mb: Megabytes of the model; nobody trains, so that all the time is transfer.
        rounds: How many rounds.

    Returns:
        Of an identity that does nothing but beat (``witness``) and of all the sessions
        (``sessions``): how many beats there were, and their p50, p99 and longest in ms; and
        the median seconds of a round.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, ExitStack() as stack:
        home = Path(folder)
        mmar = _without_waiting(home)
        settings = {"MODEL_MB": model_mb, "NUM_ROUNDS": rounds, "MIN_NUM_CLIENTS": clients}
        quick = ("--durability", "process")
        server = RunningServer(mmar, home / "server", *quick, variables=settings)
        listen = stack.enter_context(server).address()
        beating = [_beating(home, listen, "witness", "--witness")]
        own = ("--mmar", str(mmar), "--workspace", str(home / "clients"))
        names = [f"site-{number}" for number in range(1, clients + 1)]
        beating += [_beating(home, listen, name, *own) for name in names]
        for process in beating:
            stack.callback(process.kill)
        if code := server.wait(timeout=_RUN_SECONDS):
            raise ProcessFailedError(f"the server ended with {code}\n{server.stderr}")
        witness, *sessions = (json.loads(one.wait(timeout=60)) for one in beating)
        seconds = [entry["seconds"] for entry in server.summary()["rounds"]]
        return {
            "witness": summary(witness),
            "sessions": summary([second for beats in sessions for second in beats]),
            "round_s": statistics.median(seconds[1:] or seconds),
        }


def summary(seconds: list[float]) -> dict[str, float]:
    """Return how many times there were, and in ms their p50, p99 and the longest."""
    ordered = sorted(seconds)

    def quantile(share: float) -> float:
        return 1000 * ordered[min(len(ordered) - 1, math.floor(share * len(ordered)))]

    return {
        "beats": len(ordered),
        "p50_ms": quantile(0.5),
        "p99_ms": quantile(0.99),
        "max_ms": 1000 * ordered[-1],
    }


def _without_waiting(home: Path) -> Path:
    """Return a copy of the echo MMAR whose rounds wait for nobody once there are enough.

    The witness is asked for updates like anybody, and sends none.
    """
    mmar = home / "echo"
    shutil.copytree(ours.ECHO, mmar)
    config = mmar / "config" / "config_fed_server.json"
    server = json.loads(config.read_text())
    server["servers"][0]["wait_after_min_clients"] = 0
    config.write_text(json.dumps(server))
    return mmar


def _beating(home: Path, listen: str, name: str, *options: str) -> Process:
    script = str(Path(__file__).with_name("beats.py"))
    return Process([sys.executable, script, listen, name, *options], log=home / f"{name}.log")
