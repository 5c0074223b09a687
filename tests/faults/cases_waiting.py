# SPDX-License-Identifier: Apache-2.0
"""Waiting, stopping, and certificates that expire while a run lasts."""

from __future__ import annotations

import json
import random
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from mmar_runner.interfaces.observer import Topic
from mmar_runner.security.pki.certificates import read_peer_certificate
from mmar_runner.security.pki.issuing import Issuer, issue
from mmar_runner.security.pki.keys import load_tls_key
from mmar_runner.testing.kits import Kits
from tests.faults.arena import TWO, Arena
from tests.faults.case import case
from tests.faults.failpoints import Deed
from tests.faults.scene import Scene
from tests.faults.watched import until

_STOPPED = 3
_DRAIN_SECONDS = 10.0
_DAY = timedelta(days=1)


@case(
    "F15",
    "too few clients for 60 s; with a limit (`max_wait`) and before it",
    "it waits, and status says whom for and since when; goes on when they come; with a limit it "
    "stops, exit 3, and can be resumed",
    peers=("S", "S (waits)"),
    scaled="6 s",
)
def too_few(arena: Arena, chance: random.Random) -> str:
    """One of two comes; the limit passes; started again, the other one comes in time."""
    limit = arena.duration(6, 60)
    with arena.scene(kind="limited", tls=True, MAX_WAIT=limit, NUM_ROUNDS=3) as scene:
        server = scene.serve()
        scene.join("site-1")
        server.wait_for(Topic.CLIENT_JOINED, client="site-1")
        waiting = until(lambda: _status(scene, "1 of 2"), "status says what is waited for")
        assert "site-2" in {missing["name"] for missing in waiting["missing"]}, waiting
        assert waiting["since"], waiting
        code = server.wait(timeout=limit + 60)
        assert code == _STOPPED, f"exit code {code}: {server.stderr}"
        stopped = _status(scene, "")
        assert stopped["status"] == "stopped", stopped
        assert "site-2" in stopped["reason"], stopped
        again = scene.serve()
        again.wait_for(Topic.LISTENING)
        begun = time.monotonic()
        pause = chance.uniform(0, limit / 8)
        until(lambda: time.monotonic() - begun >= pause, "time passes")
        scene.join("site-2")
        scene.finish()
        arena.undisturbed(scene)
        return "waited, stopped, resumed"


def _status(scene: Scene, words: str) -> dict[str, Any]:
    path = scene.workspace / "run_1" / "status.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found if words in found.get("waiting_for", "nothing is written") else {}


@case(
    "F22",
    "SIGTERM to the server, or to a client, at any moment",
    "it ends within 10 s with exit code 3; the same command goes on; same models",
    peers=("S/L", "S"),
)
def terminated(arena: Arena, chance: random.Random) -> str:
    """Stop one of them at a failpoint or at a random time, and start it again."""
    side = chance.choice(["server", "client"])
    point = chance.choice(
        [
            "server.upload.chunk_written",
            "server.journal.after_commit",
            "server.aggregate.middle",
            "server.checkpoint.after_rename",
            "server.round.after_commit",
        ]
        if side == "server"
        else ["client.model.complete", "client.train.before", "client.upload.half"]
    )
    deed = Deed(point, "term", chance.randint(1, 3))
    with arena.scene(tls=chance.random() < 0.5) as scene:
        scene.serve(*([deed] if side == "server" else []))
        scene.join("site-1", variables={"SECONDS": 0.2})
        scene.join("site-2", *([deed] if side == "client" else []))
        victim = scene.server if side == "server" else scene.client("site-2")
        until(lambda: "term" in victim.passings(point), "the signal")
        begun = time.monotonic()
        code = victim.wait(timeout=60)
        seconds = time.monotonic() - begun
        assert code == _STOPPED, f"exit code {code}\n{victim.stdout}\n{victim.stderr}"
        assert seconds <= _DRAIN_SECONDS, f"it took {seconds:.1f} s to end"
        if side == "server":
            scene.serve()
        else:
            scene.join("site-2")
        scene.finish()
        arena.undisturbed(scene)
        return f"{side}: {seconds:.1f} s to end"


@case(
    "F20",
    "certificates expire in the middle of a run, renewed files are on disk",
    "no round is lost and nobody starts anything again; same models",
    peers=("?", "n/a"),
    scaled="certificates live 12 s",
)
def expiry(arena: Arena, chance: random.Random) -> str:
    """The server's or a client's, or both, are replaced; then the old ones expire."""
    life = timedelta(seconds=arena.duration(12, 60))
    whose = chance.choice([("server",), ("site-1",), ("server", "site-1")])
    rounds = round(life.total_seconds() / 1.2) + 1
    folder = arena.folder / f"expiry-{chance.randrange(10**9)}"
    kits = arena.fresh_kits(folder)
    kits_of = {"server": kits.server / "server.crt", "site-1": kits.client("site-1") / "client.crt"}
    with arena.scene(kits=kits, NUM_ROUNDS=rounds) as scene:
        wanted = arena.reference(scene)
        expires = datetime.now(UTC) + life
        for name in whose:
            _renew(kits, kits_of[name], expires)
        server = scene.serve()
        for name in TWO:
            scene.join(name, variables={"SECONDS": 1.2})
        server.wait_for(Topic.ROUND_STARTED, round=chance.randint(0, 1))
        for name in chance.sample(whose, len(whose)):
            _renew(kits, kits_of[name], datetime.now(UTC) + _DAY)
        scene.finish()
        assert datetime.now(UTC) > expires, "the run was over before anything expired"
        assert wanted == scene.hashes()
        arena.undisturbed(scene)
        assert all(len(scene.clients[name]) == 1 for name in TWO)
        return " and ".join(whose)


def _renew(kits: Kits, certificate: Path, expires: datetime) -> None:
    """Let the office put another certificate for the same key in place of the one there."""
    authority = kits.out / "authority"
    issuer = Issuer(load_tls_key(authority / "root.key"), (authority / "rootCA.pem").read_bytes())
    old = read_peer_certificate(certificate.read_bytes())
    key = load_tls_key(certificate.with_suffix(".key")).public_key()
    period = (datetime.now(UTC) - _DAY, expires)
    fresh = certificate.with_suffix(".fresh")
    fresh.write_bytes(issue(issuer, old.identity, key, period, ["localhost"]))
    fresh.replace(certificate)
