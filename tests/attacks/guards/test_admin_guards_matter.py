# SPDX-License-Identifier: Apache-2.0
"""Without one of the administrators' guards the attack goes through that it stops."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mmar_runner.admin import servicer
from mmar_runner.admin.entrance.access import Access
from mmar_runner.admin.entrance.gate import AdminGate
from mmar_runner.admin.entrance.sessions import Session, Sessions
from mmar_runner.client.standing import permission
from mmar_runner.console.session import admin_session
from mmar_runner.errors import MmarRunnerError
from mmar_runner.orders.memory import OrderMemory
from mmar_runner.orders.order import new_order, opened, signed
from mmar_runner.security.identity import Role
from mmar_runner.security.kits.kit import load_kit
from mmar_runner.security.pki.envelope import key_id
from mmar_runner.security.pki.keys import load_release_key, new_release_key, public_pem
from mmar_runner.security.pki.trust_root import ReleaseKey
from mmar_runner.wire.admin_stub import AdminStub
from mmar_runner.wire.channel import open_channel
from mmar_runner.wire.credentials import TlsFiles, channel_credentials
from mmar_runner.wire.messages import ExecuteRequest, LogoutRequest
from tests.attacks.harmless_desk import harmless_desk
from tests.attacks.test_admin_matrix import site_of, site_says
from tests.attacks.two_orgs import ALICE, BOB, EVE, PROJECT, TwoOrgs


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> TwoOrgs:
    return TwoOrgs(tmp_path_factory.mktemp("admin-guards"))


@pytest.fixture
def desk(project: TwoOrgs, tmp_path: Path) -> Any:
    kit = project.server_kit(f"guards-{tmp_path.name}")
    return lambda **guards: harmless_desk(kit, tmp_path / "ws", present=("site-1",), **guards)


def session_of(project: TwoOrgs, user: str, address: str) -> Any:
    return admin_session(
        load_kit(project.kits.admin(user), Role.ADMIN, now=datetime.now(UTC)), address
    )


async def said(call: Any) -> str:
    """Return ``done``, or why it was refused."""
    try:
        async for _ in call:
            pass
    except MmarRunnerError as error:
        return str(error.reason)
    return "done"


def raw(session: Any, order: bytes, token: str = "") -> Any:
    request = ExecuteRequest(token=token or session.admitted.token, order=order)
    return session.stub.execute(request)


class Forgetful(OrderMemory):
    def note(self, order: Any, *, now: datetime) -> None:
        pass


@pytest.mark.parametrize(
    ("guard", "outcome"), [(OrderMemory, "ORDER_REPLAYED"), (Forgetful, "done")]
)
async def test_the_memory_of_orders(project: Any, desk: Any, guard: Any, outcome: str) -> None:
    async with desk(memory=guard()) as address, session_of(project, ALICE, address) as alice:
        order = alice.signed(["shutdown", "server"])
        assert await said(raw(alice, order)) == "done"
        assert await said(raw(alice, order)) == outcome


class Unbound(Sessions):
    """Sessions that any certificate may use."""

    def require(self, token: str, peer: Any) -> Session:
        return super().require(token, _Peer(self._sessions[token].fingerprint))


@dataclasses.dataclass
class _Peer:
    fingerprint: str


@pytest.mark.parametrize(("guard", "outcome"), [(Sessions, "TOKEN_NOT_BOUND"), (Unbound, "done")])
async def test_sessions_are_bound(project: Any, desk: Any, guard: Any, outcome: str) -> None:
    async with (
        desk(sessions=guard()) as address,
        session_of(project, ALICE, address) as alice,
        session_of(project, BOB, address) as bob,
    ):
        # Bob has what alice signed, and her token, and not her certificate.
        order = alice.signed(["shutdown", "server"])
        assert await said(raw(bob, order, alice.admitted.token)) == outcome


class Everybody(AdminGate):
    """Lets any role make any call."""

    def _check_role(self, method: str, certificate: Any) -> None:
        pass


@pytest.mark.parametrize(("guard", "outcome"), [(AdminGate, "ROLE"), (Everybody, "SESSION_OVER")])
async def test_roles_of_the_port(project: Any, desk: Any, guard: Any, outcome: str) -> None:
    kit = project.kits.client("site-1")
    tls = TlsFiles(kit / "client.crt", kit / "client.key", kit / "rootCA.pem")
    async with desk(gate_of=guard) as address:
        channel = open_channel(address, credentials=channel_credentials(tls))
        try:
            with pytest.raises(MmarRunnerError) as refused:
                await AdminStub(channel).logout(LogoutRequest(token="x"), timeout=10)
        finally:
            await channel.close()
    assert refused.value.reason == outcome


class Generous(Access):
    """Lets every user order everything."""

    def decisions(self, *arguments: Any, **more: Any) -> Any:
        return []


@pytest.mark.parametrize(("guard", "outcome"), [(Access, "NOT_AUTHORIZED"), (Generous, "done")])
async def test_rights_at_the_server(project: Any, desk: Any, guard: Any, outcome: str) -> None:
    async with desk(access=guard) as address, session_of(project, EVE, address) as eve:
        assert await said(eve.execute(["shutdown", "server"])) == outcome


def order_of_a_stranger(user: str, key: Any) -> bytes:
    return signed(new_order(PROJECT, user, ("shutdown", "server"), now=datetime.now(UTC)), key)


def believing(data: bytes, trust_root: Any, revocations: Any, *, now: datetime) -> Any:
    """Open an order as if whoever signed it were the one whom it names."""
    key = STRANGER.public_key()
    known = ReleaseKey(key_id(key), public_pem(key).decode(), ALICE, "a.org")
    keys = (*trust_root.release_keys, known)
    return opened(data, dataclasses.replace(trust_root, release_keys=keys), revocations, now=now)


STRANGER = new_release_key()


@pytest.mark.parametrize("stands", [True, False])
async def test_the_signature_at_the_server(
    project: Any, desk: Any, monkeypatch: pytest.MonkeyPatch, stands: bool
) -> None:
    if not stands:
        monkeypatch.setattr(servicer, "opened", believing)
    async with desk() as address, session_of(project, ALICE, address) as alice:
        found = await said(raw(alice, order_of_a_stranger(ALICE, STRANGER)))
    assert found == ("SIGNER_NOT_TRUSTED" if stands else "done")


@pytest.mark.parametrize("guard", ["judge_order", "opened", None])
def test_what_a_site_asks_itself(
    project: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, guard: str | None
) -> None:
    """Rights and signature, without which a hostile server has a site end."""
    key = load_release_key(project.kits.admin(EVE) / "release.key")
    words, now = ("shutdown", "client", "site-1"), datetime.now(UTC)
    of_eve = signed(new_order(PROJECT, EVE, words, now=now), key)
    of_nobody = signed(new_order(PROJECT, ALICE, words, now=now), STRANGER)
    if guard == "judge_order":
        monkeypatch.setattr(permission, "judge_order", lambda *_, **__: _Accepted())
    elif guard == "opened":
        monkeypatch.setattr(permission, "opened", believing)
    with site_of(project.kits.client("site-1"), tmp_path / "site") as site:
        found = [site_says(site, order) for order in (of_eve, of_nobody)]
    assert (
        found
        == {
            None: ["NOT_AUTHORIZED", "SIGNER_NOT_TRUSTED"],
            "judge_order": ["accepted", "SIGNER_NOT_TRUSTED"],
            "opened": ["NOT_AUTHORIZED", "accepted"],
        }[guard]
    )


class _Accepted:
    def require(self) -> None:
        pass
