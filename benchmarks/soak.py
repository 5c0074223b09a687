# SPDX-License-Identifier: Apache-2.0
"""Thousands of rounds: memory and open files of every process stay where they were.

    make soak                                  # 2,000 rounds of mmars/echo, 10 KB, 4 clients
    make soak SOAK="--rounds 500 --settled 100"

Server, sessions and trainers are sampled when a round has finished; what they hold at the end
is held against what they held once they had settled. One JSON object a process and line; exits
with 1 if one of them has grown.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import ours
from mmar_runner.testing.processes import RunningClient, RunningServer
from processes import descendants

#: What a process may have grown by between the two looks, as a share.
GROWTH: Final = 0.05
#: Rounds around a look of which the median counts: one sample says little.
_AROUND: Final = 10
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_BEFORE_END: Final = 50
_POLL_SECONDS: Final = 0.01
_PAUSE: Final = threading.Event()
_END_SECONDS: Final = 60.0
_TRAINER: Final = "'s trainer"


@dataclass(slots=True)
class Watched:
    """One process, looked at round after round.

    Attributes:
        pid: Which.
        rss: Resident bytes at each look.
        files: Open file descriptors at each look.
    """

    pid: int
    rss: list[int] = field(default_factory=list)
    files: list[int] = field(default_factory=list)

    def look(self) -> None:
        """Sample it once."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        self.rss.append(pages * _PAGE)
        self.files.append(sum(1 for _ in Path(f"/proc/{self.pid}/fd").iterdir()))

    def verdict(self) -> dict[str, Any]:
        """Return what it held in the first and in the last looks, and whether it has grown."""
        before, after = (
            statistics.median(self.rss[:_AROUND]),
            statistics.median(self.rss[-_AROUND:]),
        )
        # The least of the looks: a look may fall into the moment in which a model is open.
        files = min(self.files[:_AROUND]), min(self.files[-_AROUND:])
        return {
            "rss_mib": [round(before / 2**20, 2), round(after / 2**20, 2)],
            "growth": round(after / before - 1, 4),
            "files": list(files),
            "ok": after <= before * (1 + GROWTH) and files[1] <= files[0],
        }


def soak(*, rounds: int, settled: int, clients: int, model_mb: float) -> dict[str, dict[str, Any]]:
    """Run a federation and return each process's verdict.

    Args:
        rounds: Rounds of the run.
        settled: The round after which processes may not grow any more.
        clients: Sessions, each a process with a trainer.
        model_mb: Megabytes of the echo model.
    """
    settings = {"MODEL_MB": model_mb, "NUM_ROUNDS": rounds, "MIN_NUM_CLIENTS": clients}
    with tempfile.TemporaryDirectory(prefix="soak-") as name, ExitStack() as stack:
        folder = Path(name)
        server = stack.enter_context(
            RunningServer(ours.ECHO, folder / "server", variables=settings)
        )
        address = server.address()
        sessions = {
            name: stack.enter_context(
                RunningClient(ours.ECHO, address, name, folder / "clients", variables=settings)
            )
            for name in (f"site-{number}" for number in range(1, clients + 1))
        }
        watched: dict[str, Watched] = {}
        closed = _closed_rounds(folder / "server" / "run_1" / "events.jsonl", server)
        for number in _looks(rounds, settled):
            while next(closed) < number:
                pass
            watched = watched or _all(server, sessions)
            for process in watched.values():
                process.look()
        if server.wait(timeout=_END_SECONDS):
            raise RuntimeError(server.stderr)
    return {name: process.verdict() for name, process in watched.items()}


def worst(verdicts: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Return the largest growth, and how many files more a process holds at most.

    Args:
        verdicts: What `soak` gave.

    Returns:
        ``growth`` of server and sessions and ``trainer_growth``, as shares, and ``files``.
    """
    trainers = {name for name in verdicts if name.endswith(_TRAINER)}
    return {
        "growth": max(verdicts[name]["growth"] for name in verdicts.keys() - trainers),
        "trainer_growth": max(verdicts[name]["growth"] for name in trainers),
        "files": max(after - before for before, after in (v["files"] for v in verdicts.values())),
    }


def _looks(rounds: int, settled: int) -> Iterator[int]:
    """Yield the rounds after which there is a look: around the settled one, and the last."""
    yield from range(settled, settled + _AROUND)
    # Not the very last: processes that have ended cannot be looked at.
    yield from range(rounds - _BEFORE_END, rounds - _BEFORE_END + _AROUND)


def _closed_rounds(events: Path, server: RunningServer) -> Iterator[int]:
    """Yield the number of each round as it is closed."""
    with events.open() as lines:
        while server.process.poll() is None:
            line = lines.readline()
            if not line.endswith("\n"):
                lines.seek(lines.tell() - len(line))
                _PAUSE.wait(_POLL_SECONDS)  # a file raises no event when it grows
                continue
            event = json.loads(line)
            if event["kind"] == "round_closed":
                yield event["data"]["round"]
    raise RuntimeError(f"the server ended early\n{server.stderr}")


def _all(server: RunningServer, sessions: dict[str, RunningClient]) -> dict[str, Watched]:
    found = {"server": Watched(server.process.pid)}
    for name, session in sessions.items():
        found[name] = Watched(session.process.pid)
        for child in descendants(session.process.pid):
            found[f"{name}{_TRAINER}"] = Watched(child)
    return found


def main() -> None:
    """Soak, print, and judge."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=2000)
    parser.add_argument("--settled", type=int, default=200, help="the round to compare with")
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--model-mb", type=float, default=0.01)
    arguments = parser.parse_args()
    verdicts = soak(**vars(arguments))
    for name, verdict in verdicts.items():
        print(json.dumps({"process": name, **verdict}), flush=True)
    sys.exit(not all(verdict["ok"] for verdict in verdicts.values()))


if __name__ == "__main__":
    main()
