# SPDX-License-Identifier: Apache-2.0
"""A server whose first round is open, what is done to it, and what must be left of it."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from mmar_runner.errors import RefusedError
from mmar_runner.security.audit.log import read_audit
from mmar_runner.server.names import MAX_INSTANCES
from mmar_runner.testing.processes import RunningClient

GROWTH_BYTES = 64 << 20
#: Who is refused is written down at once; a line may be under way for so long.
AUDIT_SECONDS = 5.0
#: No attack takes longer, however loaded the machine is.
PLAY_SECONDS = 40.0

#: Calls that a line may be about.
METHODS = {"Register", "Quit", "Heartbeat", "GetModel", "SubmitUpdate", "SendResult"}
METHODS |= {"GetPackage", "Decline"}

Play = Callable[[Any], Awaitable[Any]]


class Arena:
    """One attacked server.

    Args:
        server: It runs.
        mmar: What honest clients run.
        variables: Their ``--set`` values.
        project: Whose kits are used; None speaks plain text.
        attacker: The class of attackers.
        dial: Opens connections.
    """

    def __init__(
        self,
        server: Any,
        mmar: Path,
        variables: dict[str, Any],
        project: Any,
        *,
        attacker: Any,
        dial: Any,
        evil: tuple[str, ...] = (),
    ) -> None:
        self.server = server
        self.mmar = mmar
        self.variables = variables
        self.project = project
        self.address = server.address()
        self.run_number = 1
        self.lost = 0
        self.secrets: set[str] = set()
        self.refusals: Counter[tuple[str, str]] = Counter()
        self.uncounted: set[tuple[str, str]] = set()
        self._attacker = attacker
        self._dial = dial
        self._evil = evil
        self._serial = 0
        self._instances: Counter[str] = Counter()
        self.measure()

    def measure(self) -> None:
        """Take what the server uses now as what it needs."""
        self.rss = self._rss()
        self.descriptors = self._descriptors()

    # Attacks

    def attack(self, play: Play, *, owner: str | None = None) -> Any:
        """Let two fresh sessions join, so that a round is open, and the second one play."""
        return asyncio.run(_in_time(self._attack(play, owner)))

    def refusal(self, play: Play, *, owner: str | None = None) -> str:
        """Return the reason for which a play was refused, with nothing counted."""
        return str(self.refused(play, owner=owner).reason)

    def refused(self, play: Play, *, owner: str | None = None) -> RefusedError:
        """Return the error with which a play was refused, with nothing counted."""
        before, players = self.state(), []

        async def noted(player: Any) -> None:
            players.append(player)
            await play(player)

        with pytest.raises(RefusedError) as refused:
            self.attack(noted, owner=owner)
        assert self.state() == before
        self.count(players[0], refused.value.reason)
        return refused.value

    def count(self, player: Any, reason: str) -> None:
        """Expect one more refusal in the audit log, and see that one is there already."""
        if reason != "OVERLOADED":  # the transport's own, of which no program hears
            self.refusals[self.who(player), reason] += 1
            self.lines(self.who(player), reason)

    def strike(self, play: Play, tls: Any, *, name: str = "site-1") -> Any:
        """Let somebody play who has not registered."""

        async def played() -> Any:
            channel = self._dial(self.address, tls)
            try:
                return await play(self._attacker(self, channel, tls, name))
            finally:
                await channel.close()

        return asyncio.run(_in_time(played()))

    def owner(self) -> str:
        """Return whose kit the next attack is made with."""
        return self._evil[self._serial // 2 % len(self._evil)] if self.project else "evil"

    def joined(self, channel: Any, owner: str) -> Any:
        self._serial += 1
        self._instances[owner] += 1
        number = (self._instances[owner] - 1) % MAX_INSTANCES + 1
        tls = self.project.tls(owner) if self.project else None
        return self._attacker(self, channel, tls, f"{owner}_{number}")

    async def _attack(self, play: Play, owner: str | None) -> Any:
        owner = owner or self.owner()
        channel = self._dial(self.address, self.project.tls(owner) if self.project else None)
        try:
            async with self.joined(channel, owner), self.joined(channel, owner) as attacker:
                attacker.header, attacker.model = await attacker.download()
                return await play(attacker)
        finally:
            await channel.close()

    def who(self, player: Any) -> str:
        return f"client {player.name.rpartition('_')[0]}" if self.project else ""

    # Evidence

    def audit(self) -> list[dict[str, Any]]:
        """Return every line of the audit log that is whole."""
        path = self.server.workspace / "audit.jsonl"
        text = path.read_text() if path.exists() else ""
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    def lines(self, who: str, reason: str) -> list[dict[str, Any]]:
        """Wait for lines about a refusal, and return them."""
        deadline = time.monotonic() + AUDIT_SECONDS
        while not (found := self._refusals(who, reason)):
            assert time.monotonic() < deadline, f"no line for {who!r}, {reason}"
            time.sleep(0.02)
        return found

    def one_line(self, who: str, reason: str) -> dict[str, Any]:
        """Return the one line about a refusal that nobody else met."""
        (line,) = self.lines(who, reason)
        assert line["peer"].startswith(("ipv4:127.0.0.1:", "ipv6:"))
        self.refusals[who, reason] += 1
        return line

    def _refusals(self, who: str, reason: str) -> list[dict[str, Any]]:
        return [
            line
            for line in self.audit()
            if (line["decision"], line["who"], line["reason"]) == ("refused", who, reason)
        ]

    def events(self, kind: str) -> list[dict[str, Any]]:
        text = (self.server.workspace / "run_1" / "events.jsonl").read_text()
        whole = text[: text.rfind("\n") + 1].splitlines()  # a line may be under way
        return [event["data"] for event in map(json.loads, whole) if event["kind"] == kind]

    def accepted(self) -> list[tuple[int, str]]:
        return [(e["round"], e["client"]) for e in self.events("update_accepted")]

    def state(self) -> tuple[Any, ...]:
        """Return what no attack may change: round, accepted set, the models' bytes."""
        models = self.server.workspace / "run_1" / "models"
        kept = sorted((p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in models.iterdir())
        return self.accepted(), len(self.events("round_finished")), kept

    # The end

    def finish(self, folder: Path, names: tuple[str, ...] = ("site-1", "site-2")) -> None:
        """Check that the server is unharmed and lets honest clients finish."""
        assert self.server.process.poll() is None, self.server.stderr
        self._settled()
        assert self._rss() - self.rss < GROWTH_BYTES, (self._rss() >> 20, self.rss >> 20)
        clients = [self.honest(name, folder / "c") for name in names]
        with clients[0], clients[1]:
            assert self.server.wait() == 0, self.server.stderr
            assert [client.wait() for client in clients] == [0, 0]
        assert self.server.summary()["status"] == "finished"
        self._kept_no_secret()
        self._wrote_everything_down()

    def honest(self, name: str, folder: Path, *options: str) -> RunningClient:
        """Start a client as its site would."""
        kit = self.project.kits.client(name) if self.project else None
        return RunningClient(
            self.mmar, self.address, name, folder, *options, variables=self.variables, kit=kit
        )

    def hashes(self) -> list[str]:
        return [entry["model_sha256"] for entry in self.server.summary()["rounds"]]

    def _kept_no_secret(self) -> None:
        said = self.server.stdout + self.server.stderr
        assert "traceback" not in said.lower(), said[-4000:]
        assert "PRIVATE KEY" not in said
        kept = b"".join(
            path.read_bytes()
            for path in self.server.workspace.rglob("*")
            if path.is_file() and path.suffix != ".safetensors"
        )
        assert b"PRIVATE KEY" not in kept
        for secret in self.secrets:
            assert secret not in said
            assert secret.encode() not in kept

    def _wrote_everything_down(self) -> None:
        """Every refusal is in the log: as a line, or counted in one within its minute."""
        lines = list(read_audit(self.server.workspace / "audit.jsonl"))
        written: Counter[tuple[str, str]] = Counter()
        for line in lines:
            if line["decision"] == "refused":
                assert line["peer"].startswith(("ipv4:127.0.0.1:", "ipv6:")), line
                assert line["action"] in METHODS, line
                assert line["data"]["message"].isprintable(), line
                count = line["data"].get("repeated", 1)
                written[line["who"], line["reason"]] += count
        for kind, expected in self.refusals.items():
            assert expected <= written[kind] <= expected + self.lost, (kind, expected, written)
        unasked = {kind for kind in written if kind not in self.refusals} - self.uncounted
        assert not unasked, f"nobody attacked like that: {unasked}"
        for who in ("client site-1", "client site-2"):
            mine = {reason for name, reason in written if name == who}
            assert mine <= {reason for name, reason in self.refusals if name == who}

    def _settled(self) -> None:
        deadline = time.monotonic() + 15
        while (now := self._descriptors()) > self.descriptors + 4:
            assert time.monotonic() < deadline, f"{now} descriptors: {self._open()}"
            time.sleep(0.2)

    def _rss(self) -> int:
        status = Path(f"/proc/{self.server.process.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) * 1024

    def _descriptors(self) -> int:
        return len(self._open()) - self._held()

    def _held(self) -> int:
        """Count connections that this very process has not let go of."""
        port = f"{int(self.address.rpartition(':')[2]):04X}"
        tables = (Path("/proc/net/tcp").read_text(), Path("/proc/net/tcp6").read_text())
        rows = [row.split() for table in tables for row in table.splitlines()[1:]]
        return sum(row[1].endswith(f":{port}") and row[3] == "01" for row in rows)

    def _open(self) -> list[str]:
        entries = Path(f"/proc/{self.server.process.pid}/fd").iterdir()
        return sorted(filter(None, map(_leads_to, entries)))


def _leads_to(descriptor: Path) -> str:
    try:
        return str(descriptor.readlink())
    except FileNotFoundError:  # closed since it was listed
        return ""


async def _in_time(playing: Awaitable[Any]) -> Any:
    """Let an attack take its time; if it hangs, say where each of its tasks stands."""
    try:
        async with asyncio.timeout(PLAY_SECONDS):
            return await _told(playing)
    except TimeoutError:
        pytest.fail(f"the attack hung after {PLAY_SECONDS:g} s; see where above")


async def _told(playing: Awaitable[Any]) -> Any:
    try:
        return await playing
    except asyncio.CancelledError:
        for task in asyncio.all_tasks():
            frames = task.get_stack()
            places = [f"{f.f_code.co_filename}:{f.f_lineno}" for f in frames]
            print(task.get_name(), *places)  # noqa: T201 - shown with the failure
        raise
