# SPDX-License-Identifier: Apache-2.0
"""A server whose first round is open, what is done to it, and what must be left of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from mmar_runner.errors import RefusedError
from mmar_runner.server.gate.names import MAX_INSTANCES
from mmar_runner.testing.processes import RunningClient

#: No attack takes longer, however loaded the machine is.
PLAY_SECONDS = 40.0

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
        evidence: What the server writes down.
        meter: The class of what measures a process.
        evil: Whose kits attack, by turns, one each attack.

    Attributes:
        secrets: What the server must neither say nor keep.
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
        evidence: Any,
        meter: Any,
        evil: tuple[str, ...],
    ) -> None:
        self.server = server
        self.mmar = mmar
        self.variables = variables
        self.project = project
        self.address = server.address()
        self.run_number = 1
        self.epoch = ""
        self.secrets: set[str] = set()
        self.dial = dial
        self.evidence = evidence
        self._attacker = attacker
        self._meter_of = meter
        self._owners = cycle(evil if project else ("evil",))
        self._instances: Counter[str] = Counter()
        self.measure()

    def measure(self) -> None:
        """Take what the server uses now as what it needs."""
        self._meter = self._meter_of(self.server.process.pid, self.address)

    def memory(self) -> int:
        """Return how many bytes of memory the server holds now."""
        return int(self._meter.memory())

    # Attacks

    def attack(self, play: Play, *, owner: str | None = None) -> Any:
        """Let two fresh sessions join, so that a round is open, and the second one play."""
        return asyncio.run(_in_time(self._attack(play, owner)))

    def refusal(self, play: Play, *, owner: str | None = None) -> str:
        """Return the reason for which a play was refused, with nothing counted."""
        return str(self.refused(play, owner=owner).reason)

    def refused(self, play: Play, *, owner: str | None = None) -> RefusedError:
        """Return the error with which a play was refused, with nothing counted."""
        before, players = self.evidence.state(), []

        async def noted(player: Any) -> None:
            players.append(player)
            await play(player)

        with pytest.raises(RefusedError) as refused:
            self.attack(noted, owner=owner)
        assert self.evidence.state() == before
        self.count(players[0], refused.value.reason)
        return refused.value

    def count(self, player: Any, reason: str) -> None:
        """Expect one more refusal in the audit log, and see that one is there already."""
        self.evidence.expect(self.who(player), reason)

    def who(self, player: Any) -> str:
        """Return whom the audit log names for a player."""
        return f"client {player.name.rpartition('_')[0]}" if self.project else ""

    def strike(self, play: Play, tls: Any, *, name: str = "site-1") -> Any:
        """Let somebody play who has not registered."""

        async def played() -> Any:
            channel = self.dial(self.address, tls)
            try:
                return await play(self._attacker(self, channel, tls, name))
            finally:
                await channel.close()

        return asyncio.run(_in_time(played()))

    def joined(self, channel: Any, owner: str) -> Any:
        """Return a further session of an owner."""
        self._instances[owner] += 1
        number = (self._instances[owner] - 1) % MAX_INSTANCES + 1
        tls = self.project.tls(owner) if self.project else None
        return self._attacker(self, channel, tls, f"{owner}_{number}")

    @asynccontextmanager
    async def guest(self, owner: str) -> AsyncIterator[Any]:
        """Let somebody else join, over a connection of its own, and fetch the model."""
        channel = self.dial(self.address, self.project.tls(owner) if self.project else None)
        try:
            async with self.joined(channel, owner) as guest:
                guest.header, guest.model = await guest.download()
                yield guest
        finally:
            await channel.close()

    async def _attack(self, play: Play, owner: str | None) -> Any:
        owner = owner or next(self._owners)
        channel = self.dial(self.address, self.project.tls(owner) if self.project else None)
        try:
            async with (
                self.joined(channel, owner) as other,
                self.joined(channel, owner) as attacker,
            ):
                attacker.neighbour = other
                attacker.header, attacker.model = await attacker.download()
                return await play(attacker)
        finally:
            await channel.close()

    # The end

    def finish(self, folder: Path, names: tuple[str, ...] = ("site-1", "site-2")) -> None:
        """Check that the server is unharmed and lets honest clients finish."""
        assert self.server.process.poll() is None, self.server.stderr
        self._meter.check()
        clients = [self.honest(name, folder / "c") for name in names]
        with clients[0], clients[1]:
            assert self.server.wait() == 0, self.server.stderr
            assert [client.wait() for client in clients] == [0, 0]
        assert self.server.summary()["status"] == "finished"
        self.evidence.check_secrets(self.secrets, self.server.stdout + self.server.stderr)
        self.evidence.check_refusals()

    def honest(self, name: str, folder: Path, *options: str) -> RunningClient:
        """Start a client as its site would."""
        kit = self.project.kits.client(name) if self.project else None
        return RunningClient(
            self.mmar, self.address, name, folder, *options, variables=self.variables, kit=kit
        )

    def hashes(self) -> list[str]:
        return [entry["model_sha256"] for entry in self.server.summary()["rounds"]]


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
