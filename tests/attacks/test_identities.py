# SPDX-License-Identifier: Apache-2.0
"""Who somebody is: certificates, names and tokens that are not what they should be."""

from __future__ import annotations

import base64
import json
import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from mmar_runner.errors import CertificateError, RefusedError, UnreachableError
from mmar_runner.security.identity import Identity, Role
from mmar_runner.security.pki.issuing import issue
from mmar_runner.security.pki.tls_probe import look
from mmar_runner.security.tokens import TokenMint
from mmar_runner.wire.credentials import TlsFiles
from mmar_runner.wire.messages import (
    DeclineRequest,
    GetPackageRequest,
    QuitRequest,
    ResultRequest,
)
from mmar_runner.wire.stub import DiscoveryStub

SECOND = timedelta(seconds=1)
FAR = timedelta(hours=1)


@pytest.fixture(scope="module")
def arena(
    tmp_path_factory: pytest.TempPathFactory,
    arena_of: Any,
    attacked_server: Any,
    restless_mmar: Path,
    project: Any,
) -> Iterator[Any]:
    """Leases of three seconds, and a kit whose revocations are this arena's own."""
    folder = tmp_path_factory.mktemp("identities")
    kit = project.server_kit("identities-server")
    with attacked_server(arena_of, folder, restless_mmar, kit) as arena:
        arena.kit = kit
        yield arena


def struck(arena: Any, tls: TlsFiles, play: Any = None, name: str = "site-1") -> RefusedError:
    """Return with what a stranger was refused, with nothing changed by it."""
    before = arena.evidence.state()
    with pytest.raises(RefusedError) as refused:
        arena.strike(play or (lambda a: a.register()), tls, name=name)
    assert arena.evidence.state() == before
    return refused.value


def welcomed(arena: Any, owner: str = "witness") -> None:
    """The honest control: the same call, with a kit that holds."""

    async def play(attacker: Any) -> None:
        async with attacker:
            await attacker.heartbeat()

    arena.strike(play, arena.project.tls(owner), name=owner)


def came(arena: Any) -> int:
    """Count who came or was refused: somebody before may still be leaving."""
    return sum(line["action"] != "leave" for line in arena.evidence.audit())


def probed(arena: Any, tls: TlsFiles) -> Any:
    host, _, port = arena.address.rpartition(":")
    try:
        look(
            host,
            int(port),
            root_pem=tls.root.read_bytes(),
            cert_file=tls.cert,
            key_file=tls.key,
            expected_name=host,
            now=datetime.now(UTC),
        )
    except CertificateError as error:
        return error
    return None


# A01: what TLS itself refuses


def nobody(arena: Any, forge: Any) -> TlsFiles | None:
    return None


def own_authority(arena: Any, forge: Any) -> TlsFiles:
    return arena.project.forge(forge.uri("site-1"), issuer=arena.project.other_authority())


def self_signed_with_the_right_names(arena: Any, forge: Any) -> TlsFiles:
    """What an authority of the same name, and a chain with the true root, come to."""
    other = arena.project.other_authority()
    return arena.project.forge(forge.uri("site-1"), issuer=other, chain=1)


def server_as_client(arena: Any, forge: Any) -> TlsFiles:
    return arena.project.tls("localhost")


def expired(arena: Any, forge: Any) -> TlsFiles:
    return arena.project.forge(forge.uri("site-1"), life=-SECOND)


def a_site_that_issues(arena: Any, forge: Any) -> TlsFiles:
    """A site's own key signs a certificate: no site is an authority."""
    site = arena.project.tls("evil-a")
    from mmar_runner.security.pki.issuing import Issuer
    from mmar_runner.security.pki.keys import load_tls_key

    issuer = Issuer(load_tls_key(site.key), site.cert.read_bytes())
    return arena.project.forge(forge.uri("site-1"), issuer=issuer, chain=1)


@pytest.mark.parametrize(
    ("stranger", "said"),
    [
        (nobody, None),
        (own_authority, {"CERT_REFUSED"}),
        (self_signed_with_the_right_names, {"CERT_REFUSED"}),
        (server_as_client, {"CERT_REFUSED"}),
        (expired, {"CERT_EXPIRED"}),
        (a_site_that_issues, {"CERT_REFUSED"}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a01_a02_what_tls_refuses_gets_no_answer_and_leaves_no_line(
    arena: Any, forge: Any, stranger: Any, said: set[str] | None
) -> None:
    """Nobody was proven to be there, so no line names anybody; the probe says why."""
    tls, before, lines = stranger(arena, forge), arena.evidence.state(), came(arena)
    with pytest.raises(UnreachableError):
        arena.strike(lambda a: a.register(), tls)
    assert arena.evidence.state() == before
    assert came(arena) == lines
    if said is not None:
        assert probed(arena, tls).reason in said
    welcomed(arena)
    assert probed(arena, arena.project.tls("witness")) is None


def test_a01_tls_before_1_2_is_refused(arena: Any) -> None:
    tls = arena.project.tls("evil-a")
    context = ssl.create_default_context(cafile=tls.root)
    context.load_cert_chain(tls.cert, tls.key)
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    host, _, port = arena.address.rpartition(":")
    import socket

    with (
        socket.create_connection((host, int(port)), timeout=5) as connection,
        pytest.raises((ssl.SSLError, OSError)),
    ):
        context.wrap_socket(connection, server_hostname="localhost")


# Certificates of the right authority that say the wrong thing


def say(*uris: str, **options: Any) -> Any:
    return lambda arena: arena.project.forge(*uris, **options)


def of(role: str, name: str, project: str = "demo") -> str:
    return f"spiffe://{project}/{role}/{name}"


STRANGE = {
    "two_identities": say(of("client", "site-1"), of("client", "site-2")),
    "no_identity": say(names=(x509.DNSName("site-1"),)),
    "nothing_but_a_common_name": say(),
    "another_scheme": say("https://demo/client/site-1"),
    "role_in_capitals": say(of("CLIENT", "site-1")),
    "unknown_role": say(of("root", "site-1")),
    "percent_encoded_letter": say(of("client", "%73ite-1")),
    "percent_encoded_slash_role": say(of("client%2Fsite-1", "x")),
    "encoded_nul": say("spiffe://demo/client/site-1\x00.evil"),
    "trailing_slash": say(of("client", "site-1/")),
    "no_name": say(of("client", "")),
    "no_project": say(of("client", "site-1", "")),
    "query": say(of("client", "site-1?role=admin")),
    "fragment": say(of("client", "site-1#x")),
    "port": say(of("client", "site-1", "demo:443")),
    "user": say(of("client", "site-1", "root@demo")),
    "more_path": say(of("client", "site-2/../site-1")),
}


@pytest.mark.parametrize("name", STRANGE)
def test_a05_a_certificate_that_names_nobody_is_refused(arena: Any, name: str) -> None:
    """The authority never makes such; were it tricked, nobody becomes site-1 by it."""
    tls = STRANGE[name](arena)
    assert struck(arena, tls).reason == "CERT_INVALID"
    (line, *more) = arena.evidence.lines("", "CERT_INVALID")
    assert line["action"] == "Register"
    assert not more  # those of one minute share a line
    arena.evidence.refusals["", "CERT_INVALID"] += 1
    welcomed(arena)


def test_a05_a_certificate_of_another_project_is_refused(arena: Any, forge: Any) -> None:
    for other in ("other", "Demo", "demo.evil"):
        tls = arena.project.forge(forge.uri(f"guest-{other}", project=other))
        assert struck(arena, tls).reason == "CERT_PROJECT"
        arena.evidence.one_line(f"client guest-{other}", "CERT_PROJECT")
    welcomed(arena)


def test_a05_a_site_that_the_policy_does_not_know_is_refused(arena: Any, forge: Any) -> None:
    for name in ("site-9", "SITE-1", "evil-a_1"):
        tls = arena.project.forge(forge.uri(name))
        assert struck(arena, tls, name=name).reason == "SITE_UNKNOWN"
        arena.evidence.one_line(f"client {name}", "SITE_UNKNOWN")


def test_a05_names_in_a_certificate_cannot_write_to_the_log(arena: Any, forge: Any) -> None:
    name = "%1B%5B2Jsite-1%0A"
    tls = arena.project.forge(forge.uri(name))
    assert struck(arena, tls).reason == "NAME_MISMATCH"
    path = arena.server.workspace / "audit.jsonl"
    line = arena.evidence.one_line("client \\x1b[2Jsite-1\\n", "NAME_MISMATCH")
    assert line["action"] == "Register"
    assert b"\x1b" not in path.read_bytes()
    assert "\x1b" not in arena.server.stdout + arena.server.stderr


def test_a01_a_chain_without_end_is_refused(arena: Any, forge: Any) -> None:
    endless = arena.project.forge(forge.uri("s" * 60_000))
    for tls in (arena.project.forge(forge.uri("site-1"), chain=2000), endless):
        with pytest.raises(UnreachableError):
            arena.strike(lambda a: a.register(), tls)
    welcomed(arena)


# Names in messages


NAMES = [
    "site-2",
    "SITE-1",
    "site-1",
    "evil-a ",
    " evil-a",
    "Evil-a",
    "evil-a_",
    "evil-a_0",
    "evil-a_01",
    "evil-a_-1",
    "evil-a_1_1",
    "evil-a_\u0661",
    "evil-a_1\n",
    "evil-a/../site-1",
    "%65vil-a",
    "evil-a\x00",
    "\x1b[31mevil-a",
    "../x",
    "",
    "x" * 1_000_000,
    "evil-a_" + "9" * 100_000,
]


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name[:20]))
def test_a05_a_name_that_is_not_the_certificates_is_refused(arena: Any, name: str) -> None:
    play = lambda a: a.register(client_name=name)  # noqa: E731
    reason = arena.refusal(play, owner="evil-a")
    # A number may be any, but not a name of any length.
    endless = {"NAME_INVALID", "TOO_MANY_INSTANCES"}
    assert reason in (endless if name.startswith("evil-a_999") else {"NAME_MISMATCH"})
    line = arena.evidence.lines("client evil-a", reason)[0]
    assert line["action"] == "Register"
    assert line["data"]["message"].isprintable()


def test_a05_a_name_of_10_mb_is_refused_before_it_is_sent(arena: Any) -> None:
    assert arena.refusal(lambda a: a.register(client_name="x" * 10_000_000)) == "OVERLOADED"


# A06 and A07: tokens


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
            assert await thief(other) == ["TOKEN_NOT_BOUND"] * 5
        await channel.close()
        await owner.heartbeat()  # its owner is not disturbed

    before = arena.evidence.state()
    arena.attack(victim, owner="evil-b")
    assert arena.evidence.state() == before
    seen = arena.evidence.lines("client greedy-a", "TOKEN_NOT_BOUND")
    calls = {"Heartbeat", "Quit", "GetModel", "SubmitUpdate", "SendResult"}
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
    ]


async def refused(call: Any) -> str:
    with pytest.raises(RefusedError) as error:
        await call
    return str(error.value.reason)


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


# ROLE


@pytest.mark.parametrize("method", ["Register", "Heartbeat", "GetPackage", "Decline", "GetModel"])
def test_role_an_administrator_is_no_client(arena: Any, forge: Any, method: str) -> None:
    async def play(player: Any) -> None:
        desk = DiscoveryStub(player.channel)
        match method:
            case "Register":
                await player.register()
            case "Heartbeat":
                await player.heartbeat("")
            case "GetPackage":
                await anext(desk.get_package(GetPackageRequest()))
            case "Decline":
                await desk.decline(DeclineRequest(digest="0" * 64, reason="X"), timeout=5)
            case _:
                await player.download()

    error = struck(arena, arena.project.tls(forge.LEAD), play, name=forge.LEAD)
    assert error.reason == "ROLE"
    who = f"admin {forge.LEAD}"
    arena.evidence.refusals[who, "ROLE"] += 1
    deadline = time.monotonic() + 5
    while method not in [line["action"] for line in arena.evidence.lines(who, "ROLE")]:
        assert time.monotonic() < deadline


def test_role_a_server_with_a_clients_key_usage_is_no_client(arena: Any, forge: Any) -> None:
    tls = arena.project.forge(forge.uri("localhost", "server"))
    assert struck(arena, tls).reason == "ROLE"
    arena.evidence.one_line("server localhost", "ROLE")


def test_role_what_no_role_may_call_does_not_exist(arena: Any) -> None:
    """Services of the transport, and of administration, are not there to be asked."""

    async def play(player: Any) -> None:
        for path in (
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
            "/grpc.health.v1.Health/Check",
            "/mmar_runner.v1.FederatedTraining/Shutdown",
            "/mmar_runner.v1.Admin/Submit",
        ):
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await player.channel.unary_unary(path)(b"", timeout=5)
            assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED

    arena.strike(play, arena.project.tls("evil-a"))


# A cloned kit


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


# A03 and A04: what was true when the connection was made


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


def test_a01_a_servers_certificate_must_be_a_servers(arena: Any, forge: Any) -> None:
    """A site poses as the server: whoever calls it sees that it is none."""
    from mmar_runner.security.pki.certificates import read_peer_certificate

    site = arena.project.tls("evil-a")
    certificate = x509.load_pem_x509_certificate(site.cert.read_bytes())
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert not names.get_values_for_type(x509.DNSName)
    assert read_peer_certificate(site.cert.read_bytes()).identity.role is Role.CLIENT


def test_a05_the_authority_gives_no_host_names_to_sites(arena: Any) -> None:
    """Even if asked: names of hosts are the server's."""
    from mmar_runner.security.pki.keys import new_tls_key

    now = datetime.now(UTC)
    who = Identity("demo", Role.CLIENT, "site-1")
    pem = issue(arena.project.issuer, who, new_tls_key().public_key(), (now, now + FAR), ["x.org"])
    names = (
        x509.load_pem_x509_certificate(pem)
        .extensions.get_extension_for_class(x509.SubjectAlternativeName)
        .value
    )
    assert not names.get_values_for_type(x509.DNSName)
