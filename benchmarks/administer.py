# SPDX-License-Identifier: Apache-2.0
"""How fast a standing server answers an administrator, with many clients and beside bulk work.

The administrator is logged in; measured is from the order's first letter to its last event.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
import time
from contextlib import AsyncExitStack, ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import ours
from heartbeat import summary
from mmar_runner.console.session import admin_session
from mmar_runner.interfaces.observer import Topic
from mmar_runner.mmar.finding import Findings
from mmar_runner.mmar.folder import open_folder
from mmar_runner.mmar.manifest import list_files
from mmar_runner.security.identity import Role
from mmar_runner.security.kits.kit import load_kit
from mmar_runner.security.pki.keys import load_release_key
from mmar_runner.security.signatures.signing import Signer, Terms, sign_listing
from mmar_runner.testing.kits import make_kits
from mmar_runner.testing.offices import ordered
from mmar_runner.testing.processes import RunningClient, RunningServer
from mmar_runner.testing.standing_stub import StandingStub
from processes import ProcessFailedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mmar_runner.console.session import AdminSession
    from mmar_runner.testing.kits import Kits

_LEAD: Final = "lead@example.org"
_MANY_ROUNDS: Final = 1_000_000
#: How long a client is asked while it works, at most, in seconds; and the pause between asks.
_ASKING_SECONDS: Final = 240.0
_PAUSE_SECONDS: Final = 0.05


def many(*, clients: int, asks: int) -> dict[str, Any]:
    """Let many clients wait, and ask for the server's status and for theirs.

    Args:
        clients: How many, each with a kit and a connection of its own, all in this process.
        asks: How often.

    Returns:
        ``status`` of the server and ``all``, what every client answers: p50, p99 and longest in
        ms, and ``status_s`` and ``all_s``, the medians in seconds.
    """
    names = [f"site-{number}" for number in range(1, clients + 1)]
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        home = Path(folder)
        kits = make_kits(home / "kits", clients=names, admins=(_LEAD,))
        with RunningServer(None, home / "ws", kit=kits.server) as server:
            return asyncio.run(_many(kits, server, names, asks))


async def _many(
    kits: Kits, server: RunningServer, names: Sequence[str], asks: int
) -> dict[str, Any]:
    target = _by_name(server.address())
    async with AsyncExitStack() as stack:
        for name in names:
            await stack.enter_async_context(StandingStub(kits.client(name), target))
        lead = await stack.enter_async_context(_session(kits, server))
        status = [await _timed(lead, "check_status server", len(names)) for _ in range(asks)]
        answers = [await _timed(lead, "check_status client", len(names)) for _ in range(asks)]
    found = {"status": summary(status), "all": summary(answers)}
    return {f"{key}_s": said["p50_ms"] / 1000 for key, said in found.items()} | found


def busy(*, model_mb: float, asks: int) -> dict[str, Any]:
    """Ask a client for its status while it trains and moves a model, and one that does nothing.

    Args:
        model_mb: Megabytes of the model.
        asks: How often at least, for each of what the client is at.

    Returns:
        ``idle``, ``training`` and ``transferring``: how many asks there were, and their p50,
        p95, p99 and longest in ms; ``p95_s``, the slower of the last two, in seconds; and
        ``ratio``, by how much it is slower than the idle client's.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, ExitStack() as stack:
        home = Path(folder)
        kits = make_kits(home / "kits", clients=("site-1", "site-2"), admins=(_LEAD,))
        _put_upload(home, kits)
        variables = {"MODEL_MB": model_mb, "NUM_ROUNDS": _MANY_ROUNDS, "MIN_NUM_CLIENTS": 1}
        variables |= {"SECONDS": 2}
        quick = ("--durability", "process")
        server = RunningServer(None, home / "ws", *quick, variables=variables, kit=kits.server)
        target = _by_name(stack.enter_context(server).address())
        for name in ("site-1", "site-2"):
            kit = kits.client(name)
            client = RunningClient(
                None, target, name, home / "clients", variables=variables, kit=kit
            )
            stack.enter_context(client).wait_for(Topic.STANDING)
        return asyncio.run(_busy(kits, server, asks))


async def _busy(kits: Kits, server: RunningServer, asks: int) -> dict[str, Any]:
    taken: dict[str, list[float]] = {"idle": [], "training": [], "transferring": []}
    async with _session(kits, server) as lead:
        for line in ("set_run_number 1", "deploy echo server", "deploy echo client site-1"):
            _require_done(line, await ordered(lead, line))
        for line in ("start server", "start client site-1"):
            _require_done(line, await ordered(lead, line))
        deadline = time.monotonic() + _ASKING_SECONDS
        while min(map(len, taken.values())) < asks:
            if time.monotonic() > deadline:
                raise ProcessFailedError(
                    f"asked so often: { {k: len(v) for k, v in taken.items()} }"
                )
            for name in ("site-1", "site-2"):
                began = time.perf_counter()
                answered = await ordered(lead, f"check_status client {name}")
                seconds = time.perf_counter() - began
                _require_done(name, answered)
                state = answered.value["clients"][name]["state"]
                # Between two rounds the one that works is idle too, while the next model comes.
                if name == "site-2" or state != "idle":
                    taken["idle" if name == "site-2" else state].append(seconds)
            await asyncio.sleep(_PAUSE_SECONDS)
        await ordered(lead, "abort server")
    found: dict[str, Any] = {state: _shares(seconds) for state, seconds in taken.items()}
    slower = max(found["training"]["p95_ms"], found["transferring"]["p95_ms"])
    return {"p95_s": slower / 1000, "ratio": slower / found["idle"]["p95_ms"], **found}


def _shares(seconds: Iterable[float]) -> dict[str, float]:
    times = sorted(seconds)
    return summary(times) | {"p95_ms": 1000 * times[min(len(times) - 1, int(0.95 * len(times)))]}


def _require_done(what: str, answered: Any) -> None:
    if answered.status != "done":
        raise ProcessFailedError(f"{what}: {answered.events}")


async def _timed(session: AdminSession, line: str, clients: int) -> float:
    """Return how long an order takes, all of whose answers are there."""
    began = time.perf_counter()
    answered = await ordered(session, line)
    seconds = time.perf_counter() - began
    found = answered.value.get("clients") or answered.value["server"]["clients"]
    if answered.missing or len(found) != clients:
        raise ProcessFailedError(f"{line}: {len(found)} of {clients} clients: {answered.missing}")
    return seconds


def _session(kits: Kits, server: RunningServer) -> Any:
    kit = load_kit(kits.admin(_LEAD), Role.ADMIN, now=datetime.now(UTC))
    return admin_session(kit, _by_name(server.admin_address()))


def _by_name(address: str) -> str:
    return f"localhost:{address.rpartition(':')[2]}"


def _put_upload(home: Path, kits: Kits) -> None:
    """Sign the sample and put it where uploads lie: what is measured comes after that."""
    root = home / "ws" / "transfer" / "echo"
    shutil.copytree(ours.ECHO, root)
    kit = load_kit(kits.admin(_LEAD), Role.ADMIN, now=datetime.now(UTC))
    key = load_release_key(kit.folder / "release.key")
    signer = Signer(key, kit.trust_root, kit.revocation_memory().current)
    listing = list_files(open_folder(root, Findings()))
    made = sign_listing(listing, None, signer, Terms(), now=datetime.now(UTC))
    (root / "signature.json").write_bytes(made.envelope.to_json())
    facts: dict[str, Any] = {
        "name": "echo",
        "digest": listing.digest,
        "owner": _LEAD,
        "org": "org-server",
    }
    facts |= {"uploaded": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", "bytes": 1000}
    (root.parent / "echo.json").write_text(json.dumps(facts))
