# SPDX-License-Identifier: Apache-2.0
"""A09 and E05: who somebody is, is what the certificate and the signature say, at every call."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mmar_runner.admin.entrance.sessions import Sessions
from mmar_runner.console.session import admin_session
from mmar_runner.errors import (
    CertificateError,
    MmarRunnerError,
    RefusedError,
    UnreachableError,
)
from mmar_runner.orders.order import LIFE, SKEW, new_order, signed
from mmar_runner.security.identity import Role
from mmar_runner.security.kits.kit import load_kit
from mmar_runner.security.pki.keys import load_private_key, load_release_key, new_release_key
from mmar_runner.testing.offices import Office, office, ordered
from mmar_runner.wire.admin_stub import AdminStub, RequestsStub
from mmar_runner.wire.channel import open_channel
from mmar_runner.wire.credentials import TlsFiles, channel_credentials
from mmar_runner.wire.messages import (
    AdminReply,
    DownloadRequest,
    ExecuteRequest,
    GetPackageRequest,
    HeartbeatRequest,
    LoginRequest,
    LogoutRequest,
    RegisterRequest,
    RetrieveRequest,
)
from mmar_runner.wire.stub import DiscoveryStub, FederationStub
from tests.attacks.harmless_desk import FOR_EVER, harmless_desk
from tests.attacks.two_orgs import ALICE, BOB, EVE, PROJECT, TwoOrgs, put_upload

#: A call that goes on ends within this time once its caller may no longer call, in seconds:
#: the server looks every five.
LOOK_SECONDS = 20.0


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> TwoOrgs:
    return TwoOrgs(tmp_path_factory.mktemp("identity"))


@pytest.fixture
async def standing(project: TwoOrgs, tmp_path: Path) -> AsyncIterator[Office]:
    async with office(project.server_kit(tmp_path.name), tmp_path / "ws") as found:
        yield found


def tls(kit: Path) -> TlsFiles:
    side = "server" if (kit / "server.crt").exists() else "client"
    return TlsFiles(kit / f"{side}.crt", kit / f"{side}.key", kit / "rootCA.pem")


@asynccontextmanager
async def calls(kit: Path, target: str, stub: Any) -> AsyncIterator[Any]:
    """Call somewhere by hand, with any kit."""
    channel = open_channel(target, credentials=channel_credentials(tls(kit)))
    try:
        yield stub(channel, target)
    finally:
        await channel.close()


async def reason(call: Any) -> str:
    """Return why a call was refused; it may be one that streams."""
    with pytest.raises(MmarRunnerError) as refused:
        await (_drained(call) if hasattr(call, "__anext__") else call)
    return str(refused.value.reason)


async def _drained(call: Any) -> None:
    async for _ in call:
        pass


ADMIN_CALLS = {
    "Login": lambda stub: stub.login(LoginRequest(user="site-1"), timeout=10),
    "Logout": lambda stub: stub.logout(LogoutRequest(token="x"), timeout=10),
    "Execute": lambda stub: stub.execute(ExecuteRequest(token="x", order=b"x")),
    "Download": lambda stub: stub.download(DownloadRequest(token="x", order=b"x")),
}
CLIENT_CALLS = {
    "Register": lambda s: FederationStub(s.channel).register(
        RegisterRequest(client_name=ALICE, session_key=bytes(32)), timeout=10
    ),
    "Heartbeat": lambda s: FederationStub(s.channel).heartbeat(
        HeartbeatRequest(token="x"), timeout=10
    ),
    "Retrieve": lambda s: RequestsStub(s.channel).retrieve(
        RetrieveRequest(client_name=ALICE, session_key=bytes(32))
    ),
    "SendReply": lambda s: RequestsStub(s.channel).send_reply(
        AdminReply(client_name=ALICE, request_id="x"), timeout=10
    ),
}


class _Bare:
    """Any stub over one channel."""

    def __init__(self, channel: Any, target: str) -> None:
        self.channel = channel


@pytest.mark.parametrize("who", ["client site-1", "server localhost"])
async def test_a09_whoever_is_no_administrator_may_make_no_call_of_theirs(
    project: TwoOrgs, standing: Office, who: str
) -> None:
    kit = project.kits.out / who.split()[1]
    async with calls(kit, standing.admin, AdminStub) as stub:
        for method, call in ADMIN_CALLS.items():
            assert await reason(call(stub)) == "ROLE"
            (line,) = await standing.audited(action=method, reason="ROLE")
            assert line["who"] == who
            assert line["peer"].startswith(("ipv4:127.0.0.1", "ipv6:"))
        upload = stub.upload()
        assert await reason(upload.read()) == "ROLE"
        await standing.audited(action="Upload", reason="ROLE")
    async with standing.session(project.kits.admin(ALICE)) as alice:
        assert (await ordered(alice, "show_info")).status == "done"


@pytest.mark.parametrize("who", [f"admin {ALICE}", "server localhost"])
async def test_a09_whoever_is_no_client_may_make_no_call_of_theirs(
    project: TwoOrgs, standing: Office, who: str
) -> None:
    async with calls(project.kits.out / who.split()[1], standing.listen, _Bare) as stub:
        for method, call in CLIENT_CALLS.items():
            assert await reason(call(stub)) == "ROLE"
            (line,) = await standing.audited(action=method, reason="ROLE")
            assert line["who"] == who
    async with standing.clients(project.kits.client("site-1")) as (client,):
        assert client.ended is None


async def test_a09_the_administrators_calls_are_not_answered_at_the_clients_port(
    project: TwoOrgs, standing: Office
) -> None:
    async with calls(project.kits.admin(ALICE), standing.listen, AdminStub) as stub:
        for call in ADMIN_CALLS.values():
            assert await reason(call(stub)) == "UNIMPLEMENTED"
    async with calls(project.kits.client("site-1"), standing.admin, _Bare) as stub:
        for call in CLIENT_CALLS.values():
            assert await reason(call(stub)) == "UNIMPLEMENTED"
    async with calls(project.kits.client("site-1"), standing.admin, _Bare) as stub:
        package = DiscoveryStub(stub.channel).get_package(GetPackageRequest())
        with pytest.raises(MmarRunnerError):
            async for _ in package:
                pass


async def test_a01_without_a_certificate_of_the_project_nothing_is_said(
    project: TwoOrgs, standing: Office, tmp_path: Path
) -> None:
    stranger = TwoOrgs(tmp_path / "others")
    wrong = TlsFiles(
        *(stranger.kits.admin(ALICE) / name for name in ("client.crt", "client.key")),
        project.kits.admin(ALICE) / "rootCA.pem",
    )
    channel = open_channel(standing.admin, credentials=channel_credentials(wrong))
    with pytest.raises(UnreachableError):
        await AdminStub(channel).login(LoginRequest(user=ALICE), timeout=5)
    await channel.close()
    with pytest.raises(CertificateError):
        async with standing.session(stranger.kits.admin(ALICE)):
            pytest.fail("a session was opened")


# E05: a body that says something else


@pytest.fixture
async def desk(project: TwoOrgs, tmp_path: Path) -> AsyncIterator[Any]:
    """A server whose commands do nothing, and its kit."""
    kit = project.server_kit(f"desk-{tmp_path.name}")
    async with harmless_desk(kit, tmp_path / "ws", present=("site-1", "site-2")) as address:
        yield Desk(project, kit, address, tmp_path / "ws")


@dataclasses.dataclass
class Desk:
    project: TwoOrgs
    kit: Path
    address: str
    workspace: Path

    def session(self, user: str) -> Any:
        opened = load_kit(self.project.kits.admin(user), Role.ADMIN, now=datetime.now(UTC))
        return admin_session(opened, self.address)

    def order(self, user: str, *words: str, key: Any = None, **facts: Any) -> bytes:
        key = key or load_release_key(self.project.kits.admin(user) / "release.key")
        order = new_order(PROJECT, user, words, now=facts.pop("now", datetime.now(UTC)))
        return signed(dataclasses.replace(order, **facts), key)

    def executed(self) -> list[str]:
        """Return who had something accepted, from the audit log."""
        data = (self.workspace / "audit.jsonl").read_bytes()
        lines = map(json.loads, data[: data.rfind(b"\n") + 1].splitlines())
        return [
            line["who"]
            for line in lines
            if line["action"].startswith("admin.") and line["decision"] == "accepted"
        ]


def raw(session: Any, order: bytes, token: str | None = None) -> Any:
    token = session.admitted.token if token is None else token
    return session.stub.execute(ExecuteRequest(token=token, order=order))


@pytest.mark.parametrize("name", [ALICE, "", "BOB@b.org", "bob@b.org ", "x" * 10_000, "\x1b[2J"])
async def test_e05_a_certificate_opens_its_owners_session_and_no_other(
    desk: Desk, name: str
) -> None:
    async with calls(desk.project.kits.admin(BOB), desk.address, AdminStub) as stub:
        assert await reason(stub.login(LoginRequest(user=name), timeout=10)) == "NAME_MISMATCH"
        assert (await stub.login(LoginRequest(user=BOB), timeout=10)).token


async def test_e05_whoever_signed_the_order_must_be_whose_session_it_is(desk: Desk) -> None:
    async with desk.session(BOB) as bob, desk.session(ALICE) as alice:
        hers = desk.order(ALICE, "shutdown", "server")
        assert await reason(raw(bob, hers)) == "NAME_MISMATCH"
        assert [part async for part in raw(alice, hers)], "it is still hers to order"
        await settled(desk, [f"admin {ALICE}"])


async def settled(desk: Desk, expected: list[str]) -> None:
    deadline = time.monotonic() + 10
    while desk.executed() != expected:
        assert time.monotonic() < deadline, desk.executed()
        await asyncio.sleep(0.02)


FORGED = {
    "nobody_signed": (lambda d: b'{"words": ["shutdown", "server"]}', "FORMAT"),
    "nothing": (lambda d: b"", "FORMAT"),
    "a_stranger_signed": (
        lambda d: d.order(ALICE, "shutdown", "server", key=new_release_key()),
        "SIGNER_NOT_TRUSTED",
    ),
    "another_signed": (
        lambda d: d.order(ALICE, "shutdown", "server", key=_key(d, BOB)),
        "SIGNER_NOT_TRUSTED",
    ),
    "the_server_signed": (
        lambda d: d.order(ALICE, "shutdown", "server", key=load_private_key(d.kit / "server.key")),
        "SIGNER_NOT_TRUSTED",
    ),
    "for_another_project": (
        lambda d: d.order(ALICE, "shutdown", "server", project="lung"),
        "WRONG_PROJECT",
    ),
    "too_old": (
        lambda d: d.order(ALICE, "watch", now=datetime.now(UTC) - LIFE - 2 * SKEW),
        "ORDER_EXPIRED",
    ),
    "of_tomorrow": (
        lambda d: d.order(ALICE, "watch", now=datetime.now(UTC) + 2 * SKEW),
        "ORDER_TOO_EARLY",
    ),
    "good_for_ever": (
        lambda d: d.order(ALICE, "watch", expires=datetime.max.replace(tzinfo=UTC)),
        "FORMAT",
    ),
    "no_command": (lambda d: d.order(ALICE, "x\x1b[2J\n"), "COMMAND_UNKNOWN"),
    "an_empty_word": (lambda d: d.order(ALICE, ""), "COMMAND_UNKNOWN"),
}


def _key(desk: Desk, user: str) -> Any:
    return load_release_key(desk.project.kits.admin(user) / "release.key")


@pytest.mark.parametrize("case", FORGED)
async def test_e05_an_order_that_is_none_is_refused_with_one_line(desk: Desk, case: str) -> None:
    make, expected = FORGED[case]
    async with desk.session(ALICE) as alice:
        assert await reason(raw(alice, make(desk))) == expected
        assert (await ordered(alice, "watch")).status == "done"
    await settled(desk, [f"admin {ALICE}"])
    data = (desk.workspace / "audit.jsonl").read_text()
    refused = [one for one in map(json.loads, data.splitlines()) if one["decision"] == "refused"]
    assert [(line["who"], line["reason"]) for line in refused] == [(f"admin {ALICE}", expected)]
    assert refused[0]["data"]["message"].isprintable()
    assert refused[0]["peer"].startswith(("ipv4:127.0.0.1", "ipv6:"))


async def test_e05_an_order_counts_once(desk: Desk) -> None:
    async with desk.session(ALICE) as alice, desk.session(ALICE) as again:
        order = desk.order(ALICE, "set_timeout", "30")
        assert [part async for part in raw(alice, order)]
        assert await reason(raw(alice, order)) == "ORDER_REPLAYED"
        assert await reason(raw(again, order)) == "ORDER_REPLAYED"
        at_once = desk.order(ALICE, "set_timeout", "31")
        both = await asyncio.gather(
            *(_said(raw(alice, at_once)) for _ in range(8)), return_exceptions=True
        )
        assert sorted(both) == ["ORDER_REPLAYED"] * 7 + ["done"]


async def _said(call: Any) -> str:
    try:
        async for _ in call:
            pass
    except RefusedError as error:
        return str(error.reason)
    return "done"


async def test_e05_an_order_that_was_refused_is_not_good_later(desk: Desk) -> None:
    """Whoever gets a right tomorrow has not ordered today."""
    order = desk.order(EVE, "start", "server")
    async with desk.session(EVE) as eve:
        assert await reason(raw(eve, order)) == "NOT_AUTHORIZED"
        desk.project.give_roles(desk.kit, eve="lead")
        assert await reason(raw(eve, order)) == "ORDER_REPLAYED"
        assert (await ordered(eve, "start server")).status == "done"


async def test_e05_another_certificate_cannot_use_a_session(desk: Desk) -> None:
    async with desk.session(ALICE) as alice, desk.session(BOB) as bob:
        token = alice.admitted.token
        assert await reason(raw(bob, desk.order(BOB, "watch"), token)) == "TOKEN_NOT_BOUND"
        assert await reason(raw(bob, desk.order(ALICE, "watch"), token)) == "TOKEN_NOT_BOUND"
        assert await reason(bob.stub.logout(LogoutRequest(token=token))) == "TOKEN_NOT_BOUND"
        assert (await ordered(alice, "watch")).status == "done"


async def test_e05_after_the_logout_nothing_is_taken(desk: Desk) -> None:
    async with desk.session(ALICE) as alice:
        await alice.stub.logout(LogoutRequest(token=alice.admitted.token), timeout=10)
        assert await reason(raw(alice, desk.order(ALICE, "watch"))) == "SESSION_OVER"
        assert await reason(raw(alice, desk.order(ALICE, "watch"), "0" * 64)) == "SESSION_OVER"
        assert await reason(raw(alice, desk.order(ALICE, "watch"), "")) == "SESSION_OVER"


async def test_e05_a_session_that_nobody_uses_is_over(project: TwoOrgs, tmp_path: Path) -> None:
    now = [1000.0]
    sessions = Sessions(60.0, clock=lambda: now[0])
    kit = project.server_kit("idle")
    async with harmless_desk(kit, tmp_path / "ws", sessions=sessions) as address:
        desk = Desk(project, kit, address, tmp_path / "ws")
        async with desk.session(ALICE) as alice:
            now[0] += 59
            assert (await ordered(alice, "watch")).status == "done"
            now[0] += 61
            assert await reason(alice.execute(["watch"])) == "SESSION_OVER"


async def test_e05_a_role_that_is_gone_counts_from_the_next_order_on(desk: Desk) -> None:
    async with desk.session(ALICE) as alice:
        assert (await ordered(alice, "shutdown server")).status == "done"
        desk.project.give_roles(desk.kit, alice="onlooker")
        assert await reason(alice.execute(["shutdown", "server"])) == "NOT_AUTHORIZED"
        desk.project.give_roles(desk.kit)
        assert (await ordered(alice, "shutdown server")).status == "done"


async def _first(call: Any) -> None:
    assert (await anext(call))["kind"] == "text"


async def _ended_by(call: Any) -> str:
    """Return why a call that would go on for ever was ended, and that it was soon."""
    async with asyncio.timeout(LOOK_SECONDS):
        return await reason(call)


@pytest.mark.parametrize("gone", ["role", "session"])
async def test_e05_what_goes_on_ends_with_role_and_session(desk: Desk, gone: str) -> None:
    async with desk.session(ALICE) as alice:
        call = alice.execute(["deploy", FOR_EVER, "server"])
        await _first(call)
        if gone == "role":
            desk.project.give_roles(desk.kit, alice="onlooker")
            assert await _ended_by(call) == "NOT_AUTHORIZED"
        else:
            await alice.stub.logout(LogoutRequest(token=alice.admitted.token), timeout=10)
            assert await _ended_by(call) == "SESSION_OVER"


async def test_e05_a_revoked_certificate_ends_what_goes_on_and_lets_nobody_in(
    project: TwoOrgs, tmp_path: Path
) -> None:
    """A run is open and nothing happens in it: `watch` is a call that is held."""
    workspace, kit = tmp_path / "ws", project.server_kit("revoking")
    put_upload(workspace, project.mmar(tmp_path, "study"), owner=ALICE)
    variables = {"NUM_ROUNDS": 1, "MIN_NUM_CLIENTS": 1, "MODEL_MB": 0.01}
    async with office(kit, workspace, variables=variables) as standing:
        async with standing.session(project.kits.admin(ALICE)) as alice:
            for line in ("set_run_number 1", "deploy study server", "start server"):
                await ordered(alice, line)
            call = alice.execute(["watch"])
            assert (await anext(call))["kind"] == "status"
            project.revoke(kit, ALICE)
            assert await _ended_by(call) == "CERT_REVOKED"
            assert await reason(alice.execute(["show_info"])) == "CERT_REVOKED"
            with suppress(MmarRunnerError):
                await alice.stub.logout(LogoutRequest(token=alice.admitted.token), timeout=5)
            async with calls(project.kits.admin(ALICE), standing.admin, AdminStub) as stub:
                assert await reason(stub.login(LoginRequest(user=ALICE))) == "CERT_REVOKED"
        # The control: whoever else there is goes on.
        async with standing.session(project.kits.admin(BOB)) as bob:
            assert (await ordered(bob, "show_info")).status == "done"


async def test_e05_too_many_sessions_of_one_hinder_no_other(desk: Desk) -> None:
    async with calls(desk.project.kits.admin(EVE), desk.address, AdminStub) as stub:
        tokens = [await stub.login(LoginRequest(user=EVE), timeout=10) for _ in range(16)]
        assert len({reply.token for reply in tokens}) == 16
        assert await reason(stub.login(LoginRequest(user=EVE))) == "TOO_MANY_SESSIONS"
        async with desk.session(ALICE) as alice:
            assert (await ordered(alice, "watch")).status == "done"
