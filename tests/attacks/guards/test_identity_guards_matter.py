# SPDX-License-Identifier: Apache-2.0
"""The guards of who somebody is, replaced: then the attack goes through."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from mmar_runner.errors import CertificateError, NotAuthorizedError, RefusedError
from mmar_runner.federation.sites import NO_SITES, Sites
from mmar_runner.security.audit.log import AuditLog
from mmar_runner.security.decision import Decision
from mmar_runner.security.pki.certificates import read_peer_certificate
from mmar_runner.security.steps import refuses
from mmar_runner.security.tokens import TokenClaims, TokenMint
from mmar_runner.server.gate.certificate_gate import CALLS_AT_ONCE, CertificateGate
from mmar_runner.server.gate.names import MAX_INSTANCES, BelievedNames, CertifiedNames
from mmar_runner.server.members.registry import ClientRegistry
from mmar_runner.wire.gate import Peer
from tests.attacks.guards.guarded import NOW, Listed, caller, gate, peer
from tests.open_gate import OpenGate


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
