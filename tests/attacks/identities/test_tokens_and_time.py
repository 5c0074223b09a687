# SPDX-License-Identifier: Apache-2.0
"""Tokens of others, copied kits, and certificates that hold no longer."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from mmar_runner.errors import RefusedError
from mmar_runner.security.tokens import TokenMint
from mmar_runner.wire.messages import ExchangeRequest, QuitRequest, ResultRequest
from tests.attacks.identities.strikes import SECOND, refused, struck, welcomed


def test_a06_the_live_token_of_another_site_is_refused(arena: Any) -> None:
    """On every call that takes one."""

    async def victim(owner: Any) -> None:
        stolen = owner.token

        async def thief(other: Any) -> list[str]:
            other.header, other.model = owner.header, owner.model
            return [await refused(call) for call in with_token(other, stolen)]

        # The thief has a certificate of its own, which holds.
        channel = owner.arena.dial(owner.arena.address, arena.project.tls("greedy-a"))
        async with owner.arena.joined(channel, "greedy-a") as other:
            assert await thief(other) == ["TOKEN_NOT_BOUND"] * 6
        await channel.close()
        await owner.heartbeat()  # its owner is not disturbed

    before = arena.evidence.state()
    arena.attack(victim, owner="evil-b")
    assert arena.evidence.state() == before
    seen = arena.evidence.lines("client greedy-a", "TOKEN_NOT_BOUND")
    calls = {"Heartbeat", "Quit", "GetModel", "SubmitUpdate", "SendResult", "Exchange"}
    deadline = time.monotonic() + 5
    while {line["action"] for line in seen} != calls:
        assert time.monotonic() < deadline, seen
        seen = arena.evidence.lines("client greedy-a", "TOKEN_NOT_BOUND")
    assert len(seen) == len(calls)
    arena.evidence.refusals["client greedy-a", "TOKEN_NOT_BOUND"] += len(calls)


def with_token(player: Any, token: str) -> list[Any]:
    """Every call that shows a token."""
    return [
        player.heartbeat(token),
        player.stub.quit(QuitRequest(token=token), timeout=10),
        player.download(token=token),
        player.submit_inline(player.model, token=token),
        player.stub.send_result(ResultRequest(token=token, topic="x", result=b"{}"), timeout=10),
        player.stub.exchange(ExchangeRequest(token=token, topic="x", phase="y"), timeout=10),
    ]


def flipped(token: str) -> Iterator[str]:
    """The same token with one letter changed, in each of its parts."""
    for place in (0, 3, len(token) // 2, len(token) - 50, len(token) - 1):
        letter = "A" if token[place] != "A" else "B"
        yield token[:place] + letter + token[place + 1 :]


def rewritten(token: str, change: Any) -> str:
    """Other claims under the same signature."""
    version, body, mac = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    change(claims)
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"{version}.{body}.{mac}"


def test_a07_a_token_that_was_tampered_with_is_refused(arena: Any) -> None:
    """Flipped, rewritten, unsigned, of another algorithm, empty, endless."""

    async def play(attacker: Any) -> None:
        token = attacker.token
        head, _, mac = token.rpartition(".")
        none = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
        bad = [
            *flipped(token),
            rewritten(token, lambda c: c.__setitem__(0, "site-1")),
            rewritten(token, lambda c: c.__setitem__(2, 2)),
            rewritten(token, lambda c: c.__setitem__(4, 9e15)),
            f"{head}.",
            f"{head}.{mac}=",
            f"v2.{head.partition('.')[2]}.{mac}",
            f"{none}.{head.partition('.')[2]}.",
            f"{token}.{mac}",
            f"{token}\n",
            token.upper(),
            "",
            ".",
            "..",
            "\u0661" * 40,
            "x" * 1_000_000,
        ]
        for one in bad:
            assert await refused(attacker.heartbeat(one)) == "TOKEN_INVALID", one[:80]
        await attacker.heartbeat()
        seen.append((arena.who(attacker), len(bad)))

    seen: list[tuple[str, int]] = []
    before = arena.evidence.state()
    arena.attack(play)
    assert arena.evidence.state() == before
    who, count = seen[0]
    assert arena.evidence.lines(who, "TOKEN_INVALID")
    arena.evidence.refusals[who, "TOKEN_INVALID"] += count


def minted(arena: Any, attacker: Any, secret: bytes, **changes: Any) -> str:
    """A token as a server makes them, with a secret of one's choice."""
    from hashlib import sha256

    from mmar_runner.security.pki.certificates import read_peer_certificate

    facts = {
        "client": attacker.name,
        "session": sha256(attacker.key).hexdigest(),
        "run_number": arena.run_number,
        "fingerprint": read_peer_certificate(attacker.tls.cert.read_bytes()).fingerprint,
        "now": time.time(),
        "history": arena.epoch,
        **changes,
    }
    named = {name: facts.pop(name) for name in ("now", "history")}
    return TokenMint(secret, lifetime=900).issue(*facts.values(), **named)


def test_a07_tokens_of_another_server_another_run_and_another_hour_are_refused(
    arena: Any,
) -> None:
    """The server's own secret, were it known, does not bring back what is over."""
    secret = (arena.server.workspace / "token.key").read_bytes()

    async def play(attacker: Any) -> dict[str, str]:
        make = lambda key=secret, **changes: minted(arena, attacker, key, **changes)  # noqa: E731
        tries = {
            "other_server": make(bytes(32)),
            "other_run": make(run_number=2),
            "other_history": make(history="before the run went back"),
            "other_session": make(session="0" * 64),
            "other_client": make(client="site-1"),
            "an_hour_old": make(now=time.time() - 3600),
            "unbound": make(fingerprint=""),
        }
        await attacker.heartbeat(make())  # it would be good otherwise
        return {name: await refused(attacker.heartbeat(token)) for name, token in tries.items()}

    assert arena.attack(play, owner="evil-c") == {
        "other_server": "TOKEN_INVALID",
        "other_run": "TOKEN_INVALID",
        "other_history": "TOKEN_INVALID",
        "other_session": "TOKEN_INVALID",
        "other_client": "TOKEN_INVALID",
        "an_hour_old": "TOKEN_EXPIRED",
        "unbound": "TOKEN_NOT_BOUND",
    }
    arena.evidence.one_line("client evil-c", "TOKEN_EXPIRED")
    arena.evidence.one_line("client evil-c", "TOKEN_NOT_BOUND")
    arena.evidence.lines("client evil-c", "TOKEN_INVALID")
    arena.evidence.refusals["client evil-c", "TOKEN_INVALID"] += 5


def test_a05_a_cloned_kit_finds_the_name_taken_and_is_written_down(arena: Any) -> None:
    async def play(first: Any) -> None:
        async def clone(second: Any) -> None:
            with pytest.raises(RefusedError) as error:
                await second.register()
            assert error.value.reason == "NAME_TAKEN"
            with pytest.raises(RefusedError) as error:  # nor does the token help it much
                await second.stub.quit(QuitRequest(token=first.token[:-1]), timeout=5)
            assert error.value.reason == "TOKEN_INVALID"

        channel = arena.dial(arena.address, first.tls)
        await clone(type(first)(arena, channel, first.tls, first.name))
        await channel.close()
        await first.heartbeat()

    before = arena.evidence.state()
    arena.attack(play, owner="evil-d")
    assert arena.evidence.state() == before
    arena.evidence.one_line("client evil-d", "NAME_TAKEN")
    arena.evidence.refusals["client evil-d", "TOKEN_INVALID"] += 1


def test_a07_a_registration_that_is_replayed_gives_nobody_else_anything(arena: Any) -> None:
    """The recorded message of a site, sent by another, and again by the same."""

    async def play(owner: Any) -> None:
        again = await owner.register()  # the same session: it is let in again, once
        assert again.run_number == arena.run_number
        channel = arena.dial(arena.address, arena.project.tls("greedy-c"))
        thief = type(owner)(arena, channel, None, owner.name)
        thief.key = owner.key
        assert await refused(thief.register()) == "NAME_MISMATCH"
        await channel.close()

    arena.attack(play, owner="evil-b")
    arena.evidence.one_line("client greedy-c", "NAME_MISMATCH")


def test_c03_a_certificate_has_so_many_sessions_and_no_more(arena: Any) -> None:
    """Here the federation is full first; the bound per certificate is the gate's test."""

    async def play(attacker: Any) -> str:
        mine = int(attacker.name.rpartition("_")[2])  # the number before is the other one's
        for number in {*range(1, 17)} - {mine, mine - 1 or 16}:
            try:
                reply = await attacker.register(client_name=f"evil-a_{number}")
            except RefusedError as error:
                for token in tokens:
                    await attacker.stub.quit(QuitRequest(token=token), timeout=5)
                return str(error.reason)
            tokens.append(reply.token)
        return ""

    tokens: list[str] = []
    assert arena.attack(play, owner="evil-a") == "TOO_MANY_CLIENTS"
    arena.evidence.one_line("client evil-a", "TOO_MANY_CLIENTS")


def test_a03_a_certificate_that_expires_while_connected_is_refused(arena: Any, forge: Any) -> None:
    """The very next call, and a held call within a heartbeat."""
    tls = arena.project.forge(forge.uri("witness"), life=2 * SECOND)

    async def play(player: Any) -> float:
        import asyncio

        reply = await player.register()
        player.token = reply.token
        await player.heartbeat()
        begun = time.monotonic()
        with pytest.raises(RefusedError) as error:
            await player.download(after_round=0, after_attempt=9)  # held: nothing comes
        held = time.monotonic() - begun
        assert error.value.reason == "CERT_EXPIRED"
        assert await refused(player.heartbeat()) == "CERT_EXPIRED"
        assert "expired on" in (await told(player.heartbeat())).message
        await asyncio.sleep(0)
        return held

    assert arena.strike(play, tls, name="witness") < 2 + 1.5
    lines = arena.evidence.lines("client witness", "CERT_EXPIRED")
    assert {line["action"] for line in lines} <= {"GetModel", "Heartbeat"}
    arena.evidence.refusals["client witness", "CERT_EXPIRED"] += 3


async def told(call: Any) -> RefusedError:
    with pytest.raises(RefusedError) as error:
        await call
    return error.value


def test_a04_what_is_revoked_is_refused_within_a_heartbeat(arena: Any, forge: Any) -> None:
    """Held calls end, new connections too; the update under way is not counted."""
    tls = arena.project.forge(forge.uri("greedy-b"))
    serial = forge.certificate_of(tls).serial

    async def play(player: Any) -> tuple[float, list[str]]:
        reply = await player.register()
        player.token = reply.token
        channel = arena.dial(arena.address, arena.project.tls("witness"))
        async with arena.joined(channel, "witness"):
            player.header, player.model = await player.download()
            call = player.stub.submit_update()
            await call.write(player.begin(player.model))
            await call.read()
            await call.write(player.model[:1000])
            await call.read()  # a credit: the bytes are under way to be counted
            begun = time.monotonic()
            arena.project.revoke(arena.kit, serial)
            reasons = [await refused(call.read())]
            seconds = time.monotonic() - begun
            reasons.append(await refused(player.heartbeat()))
        await channel.close()
        return seconds, reasons

    before = arena.evidence.state()
    seconds, reasons = arena.strike(play, tls, name="greedy-b")
    assert reasons == ["CERT_REVOKED"] * 2
    assert seconds < 1.5
    assert struck(arena, tls).reason == "CERT_REVOKED"  # a new connection
    assert arena.evidence.state() == before
    deadline = time.monotonic() + 5
    while len(lines := arena.evidence.lines("client greedy-b", "CERT_REVOKED")) < 3:
        assert time.monotonic() < deadline
    assert sorted(line["action"] for line in lines) == ["Heartbeat", "Register", "SubmitUpdate"]
    arena.evidence.refusals["client greedy-b", "CERT_REVOKED"] += 3
    left = [e for e in arena.evidence.events("client_left") if e["client"] == "greedy-b"]
    assert len(left) == 1
    welcomed(arena, "greedy-b")  # the site's other certificate still counts


def test_a04_a_list_that_takes_a_revocation_back_changes_nothing(arena: Any, forge: Any) -> None:
    """An older list, a list of another authority, and no list."""
    tls = arena.project.forge(forge.uri("site-2"))
    serial = forge.certificate_of(tls).serial
    path = arena.kit / "revocations.json"
    old = path.read_bytes()
    arena.project.revoke(arena.kit, serial)
    newest = path.read_bytes()
    deadline = time.monotonic() + 5
    while True:
        try:
            arena.strike(lambda a: a.heartbeat("x"), tls)
        except RefusedError as error:
            arena.evidence.refusals["client site-2", error.reason] += 1
            if error.reason == "CERT_REVOKED":
                break
        assert time.monotonic() < deadline
    other = arena.project.other_authority()
    for data in (old, arena.project.signed_revocations(arena.kit, key=other.key, step=9), b"{}"):
        arena.project.replace(path, data)
        time.sleep(1.2)  # more than a heartbeat
        with pytest.raises(RefusedError) as error:
            arena.strike(lambda a: a.heartbeat("x"), tls)
        assert error.value.reason == "CERT_REVOKED"
        arena.evidence.refusals["client site-2", "CERT_REVOKED"] += 1
    arena.project.replace(path, newest)
