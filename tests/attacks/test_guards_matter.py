# SPDX-License-Identifier: Apache-2.0
"""Each guard, replaced by one that says yes: then, and only then, its attack goes through.

The parts are the server's own, put together with another object in one place. Nothing
that ships can be told to leave a guard out.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import save_file

from mmar_runner.errors import (
    AuditError,
    CertificateError,
    NonFiniteError,
    NotAuthorizedError,
    RefusedError,
    SchemaMismatchError,
)
from mmar_runner.federation.sites import NO_SITES, Sites
from mmar_runner.security.audit import file as audit_file
from mmar_runner.security.audit import reading as audit_reading
from mmar_runner.security.audit.line import Link
from mmar_runner.security.audit.log import AuditLog
from mmar_runner.security.audit.reading import read_audit, verify_audit
from mmar_runner.security.decision import Decision
from mmar_runner.security.pki.certificates import read_peer_certificate
from mmar_runner.security.pki.revocation import RevocationList
from mmar_runner.security.steps import refuses
from mmar_runner.security.tokens import TokenClaims, TokenMint
from mmar_runner.server.certificate_gate import CALLS_AT_ONCE, CertificateGate
from mmar_runner.server.names import MAX_INSTANCES, BelievedNames, CertifiedNames
from mmar_runner.server.registry import ClientRegistry
from mmar_runner.storage import update_check
from mmar_runner.storage.model_schema import ModelSchema
from mmar_runner.storage.safetensors_format import parse_header
from mmar_runner.storage.update_check import check_update
from mmar_runner.wire.binding import bind
from mmar_runner.wire.gate import Caller, OpenGate, Peer
from mmar_runner.wire.server import build_server
from mmar_runner.wire.servicer import FederationServicer

NOW = datetime.now(UTC)


class Listed:
    """A list of revocations, or one that never has anything."""

    def __init__(self, *serials: str) -> None:
        self.current = RevocationList("demo", 1, NOW, NOW + timedelta(days=1), serials)

    def refresh(self) -> bool:
        return False


class UnboundMint(TokenMint):
    """Does not look at the fingerprint."""

    def read(self, token: str, *, fingerprint: str, now: float) -> TokenClaims:
        return super().read(token, fingerprint=self._genuine(token).fingerprint, now=now)


class EternalMint(TokenMint):
    """Does not look at the clock."""

    def read(self, token: str, *, fingerprint: str, now: float) -> TokenClaims:
        return super().read(token, fingerprint=fingerprint, now=self._genuine(token).expires - 1)


class TrustingMint(TokenMint):
    """Does not look at the signature: everybody's secret is the same."""

    def _mac(self, head: str) -> bytes:
        return b"signed"


@pytest.fixture
def audit(tmp_path: Path) -> Any:
    with AuditLog(tmp_path / "audit.jsonl") as log:
        yield log


def caller(tls: Any) -> Caller:
    return Caller("ipv4:127.0.0.1:1", tls.cert.read_bytes())


def peer(tls: Any) -> Peer:
    return Peer("ipv4:127.0.0.1:1", read_peer_certificate(tls.cert.read_bytes()))


def gate(audit: AuditLog, revocations: Any = None, **options: Any) -> CertificateGate:
    return CertificateGate("demo", revocations or Listed(), audit, **options)


def test_a01_role_a05_the_gate(project: Any, forge: Any, audit: AuditLog) -> None:
    for tls, reason in (
        (project.forge(forge.uri("a"), forge.uri("b")), "CERT_INVALID"),
        (project.forge(forge.uri("a", project="other")), "CERT_PROJECT"),
        (project.forge(forge.uri("a", "admin")), "ROLE"),
    ):
        with pytest.raises(CertificateError) as error:
            gate(audit).admit("Register", caller(tls))
        assert error.value.reason == reason
        OpenGate().admit("Register", caller(tls))


def test_a03_the_gates_clock(project: Any, forge: Any, audit: AuditLog) -> None:
    tls = project.forge(forge.uri("site-1"), life=timedelta(seconds=-1))
    with pytest.raises(CertificateError, match="expired"):
        gate(audit).admit("Heartbeat", caller(tls))
    gate(audit, clock=lambda: NOW - timedelta(minutes=5)).admit("Heartbeat", caller(tls))


def test_a04_the_list_of_revocations(project: Any, audit: AuditLog) -> None:
    tls = project.tls("site-1")
    serial = read_peer_certificate(tls.cert.read_bytes()).serial
    with pytest.raises(CertificateError) as error:
        gate(audit, Listed(serial)).admit("Heartbeat", caller(tls))
    assert error.value.reason == "CERT_REVOKED"
    assert gate(audit, Listed(serial)).verdict(peer(tls)) is not None
    assert gate(audit, Listed()).verdict(peer(tls)) is None


def test_a05_the_rule_for_names(project: Any) -> None:
    evil = peer(project.tls("evil-a"))
    with pytest.raises(RefusedError) as error:
        CertifiedNames(["site-1", "evil-a"], {}).check("site-1", evil, [])
    assert error.value.reason == "NAME_MISMATCH"
    BelievedNames().check("site-1", evil, [])


@pytest.mark.parametrize(
    ("reason", "believing", "secret", "fingerprint", "age"),
    [
        ("TOKEN_NOT_BOUND", UnboundMint, b"s", "thief", 0),
        ("TOKEN_EXPIRED", EternalMint, b"s", "owner", 3600),
        ("TOKEN_INVALID", TrustingMint, b"t", "owner", 0),
    ],
)
def test_a06_a07_the_mint(
    reason: str, believing: type[TokenMint], secret: bytes, fingerprint: str, age: float
) -> None:
    now = time.time()

    def shown(kind: type[TokenMint]) -> str:
        issuer = kind(secret * 32, lifetime=900)
        token = issuer.issue("site-1", "key", 1, "owner", now=now - age)
        reader = kind(b"s" * 32, lifetime=900)
        return reader.read(token, fingerprint=fingerprint, now=now).client

    with pytest.raises(RefusedError) as error:
        shown(TokenMint)
    assert error.value.reason == reason
    assert shown(believing) == "site-1"


def test_a05_a_clone_the_registry() -> None:
    facts = {"now": 0.0, "mmar_digest": ""}
    registry = ClientRegistry(max_clients=9, lease_seconds=9)
    registry.register("site-1", b"1" * 16, **facts)
    with pytest.raises(RefusedError) as error:
        registry.register("site-1", b"2" * 16, **facts)
    assert error.value.reason == "NAME_TAKEN"
    # One that does not know who is there lets the clone in.
    ClientRegistry(max_clients=9, lease_seconds=9).register("site-1", b"2" * 16, **facts)


class Unhurried(CertificateGate):
    """Counts no calls."""

    def _check_pace(self, peer: Peer) -> None:
        """Let everybody call as often as they like."""


class Roleless(CertificateGate):
    """Lets every role make every call."""

    def _check_role(self, method: str, certificate: Any) -> None:
        """Ask for no role."""


def test_c03_the_gates_pace(project: Any, audit: AuditLog) -> None:
    tls = project.tls("site-1")

    def flood(guard: CertificateGate) -> None:
        for _ in range(int(CALLS_AT_ONCE) * 2):
            guard.admit("Heartbeat", caller(tls))

    with pytest.raises(RefusedError) as error:
        flood(gate(audit))
    assert error.value.reason == "RATE_LIMITED"
    flood(Unhurried("demo", Listed(), audit))


def test_role_the_gates_table(project: Any, forge: Any, audit: AuditLog) -> None:
    tls = project.tls(forge.LEAD)
    for method in ("Register", "GetPackage", "Shutdown"):
        with pytest.raises(CertificateError) as error:
            gate(audit).admit(method, caller(tls))
        assert error.value.reason == "ROLE"
        Roleless("demo", Listed(), audit).admit(method, caller(tls))


def test_a05_the_gates_project(project: Any, forge: Any, audit: AuditLog) -> None:
    tls = project.forge(forge.uri("a", project="other"))
    with pytest.raises(CertificateError) as error:
        gate(audit).admit("Register", caller(tls))
    assert error.value.reason == "CERT_PROJECT"
    CertificateGate("other", Listed(), audit).admit("Register", caller(tls))


def test_c03_the_rule_for_instances(project: Any) -> None:
    present = [f"site-1_{number}" for number in range(1, MAX_INSTANCES + 1)]
    mine = peer(project.tls("site-1"))
    with pytest.raises(RefusedError) as error:
        CertifiedNames(["site-1"], {}).check("site-1", mine, present)
    assert error.value.reason == "TOO_MANY_INSTANCES"
    BelievedNames().check("site-1", mine, present)


def test_c03_the_places_that_are_kept(forge: Any) -> None:
    names = frozenset(forge.SITES)

    def fill(sites: Sites) -> None:
        registry = ClientRegistry(max_clients=MAX_INSTANCES, lease_seconds=9, sites=sites)
        for number in range(1, MAX_INSTANCES + 1):
            registry.register(f"evil-a_{number}", b"1" * 16, now=0.0, mmar_digest="")

    with pytest.raises(RefusedError) as error:
        fill(Sites(names, names))
    assert error.value.reason == "TOO_MANY_CLIENTS"
    fill(NO_SITES)  # one that knows of no sites gives every place away


def test_d04_the_decisions_about_sites(project: Any) -> None:
    """A site that may not run what is deployed joins where nobody decided about sites."""
    mine, yes = peer(project.tls("site-1")), Decision("deploy", "site-1", (), "", ())
    step = refuses("authorization.byoc", "BYOC_NOT_ALLOWED", "no code there")
    for decisions, reason in (
        ({}, "SITE_UNKNOWN"),
        ({"site-1": replace(yes, steps=(step,))}, "BYOC_NOT_ALLOWED"),
    ):
        with pytest.raises(NotAuthorizedError) as error:
            CertifiedNames(["site-1"], decisions).check("site-1", mine, [])
        assert error.value.reason == reason
    CertifiedNames(["site-1"], {"site-1": yes}).check("site-1", mine, [])


class LaxSchema(ModelSchema):
    """Is content with any tensors."""

    def check(self, header: Any) -> None:
        """Look at nothing."""


def written(folder: Path, tensors: dict[str, Any]) -> bytes:
    path = folder / "update.safetensors"
    save_file(tensors, path)
    return path.read_bytes()


def schema_of(data: bytes, kind: type[ModelSchema] = ModelSchema) -> ModelSchema:
    return kind.from_header(parse_header(data, file_size=len(data), limit=1 << 20))


@pytest.mark.parametrize("spoiled", ["renamed", "reshaped", "retyped"])
def test_b04_the_schema(tmp_path: Path, spoiled: str) -> None:
    import numpy as np

    honest = written(tmp_path, {"w": np.ones(4, np.float32)})
    evil = written(
        tmp_path,
        {
            "renamed": {"v": np.ones(4, np.float32)},
            "reshaped": {"w": np.ones((2, 2), np.float32)},
            "retyped": {"w": np.ones(4, np.int32)},
        }[spoiled],
    )
    check_update(honest, schema_of(honest))
    with pytest.raises(SchemaMismatchError):
        check_update(evil, schema_of(honest))
    check_update(evil, schema_of(honest, LaxSchema))


def test_b05_the_look_for_numbers_that_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import numpy as np

    evil = written(tmp_path, {"w": np.array([1, np.nan], np.float32)})
    with pytest.raises(NonFiniteError):
        check_update(evil, schema_of(evil))

    class Blind:
        def __init__(self, header: Any) -> None:
            """Know no tensors."""

        def feed(self, data: Any) -> None:
            """See nothing."""

    monkeypatch.setattr(update_check, "FiniteScanner", Blind)
    check_update(evil, schema_of(evil))


class Silent:
    """A log that keeps nothing."""

    def record(self, *_: Any, **__: Any) -> None:
        """Forget it."""


def test_the_audit_log(project: Any, audit: AuditLog, tmp_path: Path) -> None:
    """What is refused at the gate has a line, and without the log it has none."""
    shown = caller(project.tls("site-1"))
    refusal = RefusedError("no", reason="TOKEN_INVALID")
    CertificateGate("demo", Listed(), Silent()).refused("Quit", shown, refusal)
    gate(audit).refused("Heartbeat", shown, refusal)
    audit.flush()
    (line,) = read_audit(tmp_path / "audit.jsonl")
    found = (line["who"], line["action"], line["reason"], line["peer"])
    assert found == ("client site-1", "Heartbeat", "TOKEN_INVALID", "ipv4:127.0.0.1:1")


def test_the_chain_of_the_audit_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "audit.jsonl"
    with AuditLog(path) as log:
        for who in ("client honest", "client other"):
            log.record("Register", who=who)
    path.write_bytes(path.read_bytes().replace(b"client honest", b"client framed"))
    with pytest.raises(AuditError) as error:
        verify_audit(path)
    assert error.value.reason == "AUDIT_ALTERED"

    def believing(data: bytes, before: Any) -> Any:
        value = json.loads(data)
        return value, Link(value["seq"], value["hash"])

    monkeypatch.setattr(audit_reading, "check_line", believing)
    assert verify_audit(path).lines == 2


def test_the_place_of_the_audit_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a log that was taken away is written to where nobody can read it."""
    path = tmp_path / "audit.jsonl"
    log = AuditLog(path)
    log.record("Register", who="client a")
    log.flush()
    path.rename(tmp_path / "taken")
    log.record("Register", who="client b")
    with pytest.raises(AuditError) as error:
        log.flush()
    assert error.value.reason == "AUDIT_ALTERED"
    monkeypatch.setattr(audit_file.AuditFile, "_check_place", lambda self: None)
    log.flush()
    log.close()
    assert b"client b" in (tmp_path / "taken").read_bytes()
    assert not path.exists()


class Nobody(FederationServicer):
    """Answers nothing; silent connections never ask."""

    async def register(self, request, peer):
        raise AssertionError

    quit = heartbeat = send_result = submit_update = register

    def get_model(self, request, peer):
        raise AssertionError


@pytest.mark.parametrize(("bound", "stay"), [(3, 3), (None, 20)])
async def test_c02_the_bound_of_connections(bound: int | None, stay: int) -> None:
    """Those beyond it are closed as they come, so that files are left for the run."""
    import asyncio

    server = build_server(Nobody(), max_connections=bound)
    host, _, port = bind(server, "127.0.0.1:0").rpartition(":")
    await server.start()
    lines = [await asyncio.open_connection(host, int(port)) for _ in range(20)]

    async def is_open(reader: asyncio.StreamReader) -> bool:
        try:
            async with asyncio.timeout(1):
                return bool(await reader.read(1))  # a server that stays says something first
        except TimeoutError:
            return True
        except ConnectionResetError:
            return False

    kept = sum(await asyncio.gather(*(is_open(reader) for reader, _ in lines)))
    for _, writer in lines:
        writer.close()
    await server.stop(0)
    assert kept == stay


async def test_a04_a_log_that_cannot_be_written_keeps_no_revoked_site_here() -> None:
    """The watch goes on looking, whatever becomes of what it writes down."""
    from types import SimpleNamespace

    from mmar_runner.server.guard import Guard
    from mmar_runner.server.watch import Watch

    class Full:
        def record(self, *_: Any, **__: Any) -> None:
            raise AuditError("the disk is full", reason="AUDIT_WRITE")

    looks: list[int] = []
    revoked = RefusedError("it is revoked", reason="CERT_REVOKED")

    def expel(_: Any) -> dict[Peer, RefusedError]:
        looks.append(1)
        return {Peer("ipv4:127.0.0.1:1"): revoked}

    expelled: list[str] = []
    revocations = SimpleNamespace(
        refresh=lambda: True, current=SimpleNamespace(version=1, revokes_digest=lambda _: False)
    )
    turnstile = SimpleNamespace(expel=expel, verdict=None)
    guard = Guard(turnstile, BelievedNames(), Full(), None, revocations)
    members = SimpleNamespace(expel=lambda fingerprint, why: expelled.append(why))
    watch = Watch(guard, members, lease_seconds=3600, digest="", end=pytest.fail)
    watch.begin()
    revocations.current.version = 2
    for _ in range(2):
        with pytest.raises(AuditError):
            watch._look()
    assert len(looks) == len(expelled) == 2
    assert watch._timer is not None
    watch.close()
