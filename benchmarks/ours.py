# SPDX-License-Identifier: Apache-2.0
"""The program itself, as users start it: real processes, the real command line."""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from processes import Process, descendants, peak_rss_bytes, wait_for_file

if TYPE_CHECKING:
    from tls import Trusted

ROOT: Final = Path(__file__).resolve().parent.parent
ECHO: Final = ROOT / "mmars" / "echo"
_SAMPLE_SECONDS: Final = 0.25
_RUN_SECONDS: Final = 900


@dataclass(slots=True)
class OursResult:
    """What one measurement of the program gave.

    Attributes:
        rounds: Seconds of every round after the first, as the server counted them.
        server_rss: Peak resident bytes of the server.
        session_rss: Peak resident bytes of the largest client session.
        trainer_rss: Peak resident bytes of the largest trainer.
        total_rss: Sum of the peaks of all processes.
        updates: Accepted updates of the round that had the fewest.
    """

    rounds: list[float]
    server_rss: int
    session_rss: int = 0
    trainer_rss: int = 0
    total_rss: int = 0
    updates: int = 0

    @property
    def round_seconds(self) -> float:
        """Median seconds of a round after the first."""
        return statistics.median(self.rounds)


@dataclass(slots=True)
class Peaks:
    """Peak memory of processes that come and go, sampled while they live."""

    roots: Callable[[], list[int]]
    of_root: dict[int, int] = field(default_factory=dict)
    of_child: dict[int, int] = field(default_factory=dict)
    _done: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def sampling(self) -> Iterator[None]:
        """Sample until the end of the block."""
        thread = threading.Thread(target=self._loop, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._done.set()
            thread.join()

    def _loop(self) -> None:
        # The kernel keeps the peak; asking now and then loses only the last moments.
        while not self._done.wait(_SAMPLE_SECONDS):
            for root in self.roots():
                _note(self.of_root, root)
                for child in descendants(root):
                    _note(self.of_child, child)


def federation(
    *,
    clients: int,
    model_mb: float,
    rounds: int,
    durability: str,
    load: Sequence[Callable[[str], Process]] = (),
    trusted: Trusted | None = None,
) -> OursResult:
    """Run a server and its clients as processes of their own.

    Args:
        clients: How many clients the server waits for.
        model_mb: Megabytes of the echo model.
        rounds: Rounds; the first is not counted.
        durability: ``process`` or ``full``.
        load: Start load generators in place of client processes, given the address.
        trusted: The kits of a project and its signed MMAR; None runs with --insecure.
    """
    with tempfile.TemporaryDirectory(prefix="bench-", dir=_workspace_root()) as folder:
        workspace = Path(folder)
        settings = _settings(clients=clients, model_mb=model_mb, rounds=rounds)
        server = _server(workspace, durability, settings, trusted)
        processes = [server]
        try:
            listen = _endpoint(workspace / "server", server)
            if load:
                processes += [start(listen) for start in load]
            else:
                numbers = range(1, clients + 1)
                processes += [_client(workspace, listen, k, trusted) for k in numbers]
            sessions = [process.pid for process in processes[1:]]
            peaks = Peaks(lambda: sessions)
            with peaks.sampling():
                server.wait(timeout=_RUN_SECONDS)
            for process in processes[1:]:
                process.wait(timeout=60)
        finally:
            for process in processes:
                if process.alive:
                    process.kill()
        return _result(workspace / "server", peaks)


def simulate(*, clients: int, model_mb: float, rounds: int) -> OursResult:
    """Run ``simulate`` and watch all of its processes."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir=_workspace_root()) as folder:
        workspace = Path(folder)
        process = _start(
            workspace,
            "simulate",
            "simulate",
            str(ECHO),
            *("--clients", str(clients), "--rounds", str(rounds)),
            *("--workspace", str(workspace / "server")),
            *("--set", f"MODEL_MB={model_mb}"),
        )
        peaks = Peaks(lambda: [process.pid])
        try:
            with peaks.sampling():
                process.wait(timeout=_RUN_SECONDS)
        finally:
            if process.alive:
                process.kill()
        return _result(workspace / "server", peaks)


def cold_start(*arguments: str, repeats: int) -> list[float]:
    """Return the seconds that a command takes in a process of its own, several times."""
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        Process([sys.executable, *arguments]).wait(timeout=60)
        seconds.append(time.perf_counter() - started)
    return seconds


def idle_server(*, seconds: float) -> dict[str, float]:
    """Start a server that waits for clients; return its memory and its use of a core."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir=_workspace_root()) as folder:
        workspace = Path(folder)
        server = _server(workspace, "process", _settings(clients=2, model_mb=0.01, rounds=2))
        try:
            _endpoint(workspace / "server", server)
            time.sleep(1)  # what follows measures rest, so let the start settle
            before = _cpu_seconds(server.pid)
            time.sleep(seconds)
            used = _cpu_seconds(server.pid) - before
            return {"server_rss": peak_rss_bytes(server.pid), "core_share": used / seconds}
        finally:
            server.kill()


def _server(
    workspace: Path, durability: str, settings: list[str], trusted: Trusted | None = None
) -> Process:
    return _start(
        workspace,
        "server",
        "run-server",
        str(ECHO if trusted is None else trusted.mmar),
        *(["--insecure"] if trusted is None else ["--kit", str(trusted.kits.server)]),
        *("--listen", "127.0.0.1:0"),
        *("--workspace", str(workspace / "server")),
        *("--durability", durability),
        *settings,
    )


def _client(workspace: Path, listen: str, number: int, trusted: Trusted | None) -> Process:
    name = f"site-{number}"
    if trusted is None:
        who = [str(ECHO), "--insecure", "--name", name]
    else:  # without a folder of its own it takes the MMAR that the server deploys
        who = ["--kit", str(trusted.kits.client(name))]
    folder = ("--workspace", str(workspace / name))
    return _start(workspace, name, "run-client", *who, "--server", listen, *folder)


def _start(workspace: Path, log: str, *arguments: str) -> Process:
    command = [sys.executable, "-m", "mmar_runner", *arguments]
    return Process(command, log=workspace / f"{log}.log")


def _settings(*, clients: int, model_mb: float, rounds: int) -> list[str]:
    values = {
        "MODEL_MB": model_mb,
        "NUM_ROUNDS": rounds,
        "MIN_NUM_CLIENTS": clients,
        "MAX_NUM_CLIENTS": max(clients, 2),
    }
    return [word for key, value in values.items() for word in ("--set", f"{key}={value}")]


def _endpoint(workspace: Path, server: Process) -> str:
    listen: str = json.loads(wait_for_file(workspace / "endpoint.json", server))["listen"]
    return listen


def _result(workspace: Path, peaks: Peaks) -> OursResult:
    summary: dict[str, Any] = json.loads((workspace / "run_1" / "summary.json").read_text())
    rounds = [entry["seconds"] for entry in summary["rounds"]]
    total = sum(peaks.of_root.values()) + sum(peaks.of_child.values())
    return OursResult(
        rounds[1:] or rounds,
        summary["peak_rss_bytes"],
        max(peaks.of_root.values(), default=0),
        max(peaks.of_child.values(), default=0),
        total,
        min(len(entry["contributions"]) for entry in summary["rounds"]),
    )


def _note(peaks: dict[int, int], pid: int) -> None:
    peaks[pid] = max(peaks.get(pid, 0), peak_rss_bytes(pid))


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    return ticks / 100


def _workspace_root() -> Path:
    folder = ROOT / "workspace"
    folder.mkdir(exist_ok=True)
    return folder
