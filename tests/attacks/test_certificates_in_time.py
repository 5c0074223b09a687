# SPDX-License-Identifier: Apache-2.0
"""What a certificate may hold at once, and a revocation that outlives its server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mmar_runner.errors import RefusedError
from mmar_runner.server.gate.names import MAX_INSTANCES
from mmar_runner.testing.processes import RunningServer
from mmar_runner.wire.messages import QuitRequest

VARIABLES = {"NUM_ROUNDS": 2, "MIN_NUM_CLIENTS": 2, "MODEL_MB": 0.01, "MAX_NUM_CLIENTS": 40}


def running(mmar: Path, folder: Path, kit: Path, listen: str = "127.0.0.1:0") -> RunningServer:
    options = ("--durability", "process")
    return RunningServer(mmar, folder, *options, variables=VARIABLES, kit=kit, listen=listen)


@pytest.fixture(scope="module")
def calm(
    tmp_path_factory: pytest.TempPathFactory, arena_of: Any, restless_mmar: Path, project: Any
) -> list[str]:
    """The models of a run that nobody disturbs."""
    folder = tmp_path_factory.mktemp("calm")
    with running(restless_mmar, folder / "ws", project.server_kit("calm-in-time")) as server:
        arena = arena_of(server, restless_mmar, VARIABLES)
        arena.finish(folder / "clients")
        return list(arena.hashes())


def test_c03_the_seventeenth_instance_of_a_certificate_is_refused(
    tmp_path: Path, arena_of: Any, restless_mmar: Path, project: Any, calm: list[str]
) -> None:
    """The federation has room; the certificate has not. When one ends, one may come."""

    async def play(first: Any) -> str:
        # The arena's own two are there as 1 and 2.
        names = [f"evil-a_{number}" for number in range(3, MAX_INSTANCES + 1)]
        tokens = [(await first.register(client_name=name)).token for name in names]
        reason = await reason_of(first.register(client_name="evil-a"))
        await first.stub.quit(QuitRequest(token=tokens.pop()), timeout=5)
        tokens.append((await first.register(client_name="evil-a")).token)
        for token in tokens:
            await first.stub.quit(QuitRequest(token=token), timeout=5)
        return reason

    kit = project.server_kit("instances")
    with running(restless_mmar, tmp_path / "ws", kit) as server:
        arena = arena_of(server, restless_mmar, VARIABLES)
        before = arena.evidence.state()[:2]
        assert arena.attack(play, owner="evil-a") == "TOO_MANY_INSTANCES"
        assert arena.evidence.state()[:2] == before
        line = arena.evidence.one_line("client evil-a", "TOO_MANY_INSTANCES")
        assert line["action"] == "Register"
        arena.finish(tmp_path / "clients")
    assert arena.hashes() == calm


def test_a04_what_was_revoked_stays_revoked_when_the_server_comes_back(
    tmp_path: Path, arena_of: Any, restless_mmar: Path, project: Any, forge: Any, calm: list[str]
) -> None:
    """Its update under way is not counted; an older list put back changes nothing."""
    kit = project.server_kit("restarted")
    honest_list = (kit / "revocations.json").read_bytes()
    tls = project.forge(forge.uri("greedy-b"))
    serial = forge.certificate_of(tls).serial

    async def play(player: Any) -> str:
        return await cut_short(player, lambda: project.revoke(kit, serial))

    with running(restless_mmar, tmp_path / "ws", kit) as server:
        arena = arena_of(server, restless_mmar, VARIABLES)
        assert arena.strike(play, tls, name="greedy-b") == "CERT_REVOKED"
        arena.evidence.one_line("client greedy-b", "CERT_REVOKED")
        assert arena.evidence.accepted() == []
        before, address = arena.evidence.state(), arena.address
        server.kill()

    project.replace(kit / "revocations.json", honest_list)
    with running(restless_mmar, tmp_path / "ws", kit, address) as again:
        assert again.address() == address
        arena.server = again
        arena.measure()
        for play_again in (lambda a: a.register(), lambda a: a.heartbeat("x")):
            with pytest.raises(RefusedError) as error:
                arena.strike(play_again, tls, name="greedy-b")
            assert error.value.reason == "CERT_REVOKED"
            arena.evidence.refusals["client greedy-b", "CERT_REVOKED"] += 1
        assert arena.evidence.state() == before

        async def honest(player: Any) -> None:
            async with player:
                await player.heartbeat()

        # The site's other certificate still counts: it is not the site that was revoked.
        arena.strike(honest, project.tls("greedy-b"), name="greedy-b")
        arena.finish(tmp_path / "clients")
    assert arena.hashes() == calm


async def cut_short(player: Any, revoke: Callable[[], None]) -> str:
    """Join, begin an update, and return why it may not be finished."""
    arena = player.arena
    player.token = (await player.register()).token
    channel = arena.dial(arena.address, arena.project.tls("witness"))
    async with arena.joined(channel, "witness"):
        player.header, player.model = await player.download()
        call = player.stub.submit_update()
        await call.write(player.begin(player.model))
        await call.read()
        await call.write(player.model[:1000])
        await call.read()
        revoke()
        reason = await reason_of(call.read())
    await channel.close()
    return reason


async def reason_of(call: Any) -> str:
    with pytest.raises(RefusedError) as error:
        await call
    return str(error.value.reason)
