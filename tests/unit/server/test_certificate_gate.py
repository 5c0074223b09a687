# SPDX-License-Identifier: Apache-2.0
"""Every call is judged by its certificate, at the time of the call."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mmar_runner.errors import MmarRunnerError, StorageError
from mmar_runner.security.audit.log import AuditLog
from mmar_runner.security.audit.reading import read_audit
from mmar_runner.security.identity import Identity, Role
from mmar_runner.security.pki.certificates import read_peer_certificate
from mmar_runner.security.pki.followed import Revocations
from mmar_runner.security.pki.issuing import Issuer, issue, make_root
from mmar_runner.security.pki.keys import new_tls_key
from mmar_runner.security.pki.revocation import (
    MAX_LIST_BYTES,
    RevocationList,
    RevocationMemory,
    sign_revocations,
)
from mmar_runner.server.gate.certificate_gate import HEALTH_METHODS, ROLE_OF_METHOD, CertificateGate
from mmar_runner.server.gate.pace import Paces
from mmar_runner.wire.gate import Caller, Peer

NOW = datetime(2030, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
ROOT_KEY = new_tls_key()
ISSUER = Issuer(ROOT_KEY, make_root(ROOT_KEY, "demo", NOW, 100 * DAY))
SITE = Identity("demo", Role.CLIENT, "site-1")


def pem(identity: Identity = SITE, *, days: int = 1) -> bytes:
    return issue(ISSUER, identity, new_tls_key().public_key(), (NOW, NOW + days * DAY))


def signed_list(version: int, *serials: str) -> bytes:
    revoked = RevocationList("demo", version, NOW, NOW + DAY, serials=serials)
    return sign_revocations(revoked, ROOT_KEY)


class Clock:
    now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def revocations(tmp_path: Path) -> Revocations:
    path = tmp_path / "revocations.json"
    path.write_bytes(signed_list(1))
    return Revocations(path, RevocationMemory(path, tmp_path, ISSUER.certificate))


@pytest.fixture
def gate(tmp_path: Path, revocations: Revocations, clock: Clock) -> Iterator[CertificateGate]:
    with AuditLog(tmp_path / "audit.jsonl") as audit:
        yield CertificateGate("demo", revocations, audit, clock=clock)


def refusal(gate: CertificateGate, certificate: bytes | None, method: str = "Heartbeat") -> str:
    with pytest.raises(MmarRunnerError) as refused:
        gate.admit(method, Caller("ipv4:127.0.0.1:1", certificate))
    return refused.value.reason


def test_a_client_of_the_project_is_let_in(gate: CertificateGate) -> None:
    peer = gate.admit("Register", Caller("ipv4:127.0.0.1:1", pem()))
    assert peer.who == "client site-1"
    assert len(peer.fingerprint) == 64
    assert gate.verdict(peer) is None


def test_nobody_comes_in_without_a_certificate(gate: CertificateGate) -> None:
    assert refusal(gate, None) == "CERT_MISSING"


def test_what_is_no_certificate_is_refused(gate: CertificateGate) -> None:
    assert refusal(gate, b"-----BEGIN CERTIFICATE-----\nAAAA\n") == "CERT_INVALID"


def test_another_projects_certificate_is_refused(gate: CertificateGate) -> None:
    assert refusal(gate, pem(Identity("other", Role.CLIENT, "site-1"))) == "CERT_PROJECT"


@pytest.mark.parametrize("method", [*ROLE_OF_METHOD, "Unheard"])
@pytest.mark.parametrize("role", [Role.ADMIN, Role.SERVER])
def test_no_other_role_may_call(gate: CertificateGate, method: str, role: Role) -> None:
    assert refusal(gate, pem(Identity("demo", role, "somebody")), method) == "ROLE"


@pytest.mark.parametrize("method", sorted(HEALTH_METHODS))
@pytest.mark.parametrize("role", Role)
def test_every_role_may_ask_whether_the_server_works(
    gate: CertificateGate, method: str, role: Role
) -> None:
    peer = gate.admit(method, Caller("ipv4:127.0.0.1:1", pem(Identity("demo", role, "somebody"))))
    assert peer.who == f"{role} somebody"


@pytest.mark.parametrize("method", sorted(HEALTH_METHODS))
def test_nobody_else_may(gate: CertificateGate, method: str, clock: Clock) -> None:
    certificate = pem()
    assert refusal(gate, None, method) == "CERT_MISSING"
    assert refusal(gate, pem(Identity("other", Role.CLIENT, "site-1")), method) == "CERT_PROJECT"
    clock.now = NOW + DAY
    assert refusal(gate, certificate, method) == "CERT_EXPIRED"


def test_a_call_that_nobody_knows_is_nobodys(gate: CertificateGate) -> None:
    assert refusal(gate, pem(), "Unheard") == "ROLE"


def test_a_certificate_that_expires_on_an_open_connection_is_refused(
    gate: CertificateGate, clock: Clock
) -> None:
    caller = Caller("ipv4:127.0.0.1:1", pem())
    peer = gate.admit("Heartbeat", caller)
    clock.now = NOW + DAY
    assert refusal(gate, caller.certificate) == "CERT_EXPIRED"
    verdict = gate.verdict(peer)
    assert verdict is not None
    assert verdict.reason == "CERT_EXPIRED"


def test_a_certificate_from_the_future_is_refused(gate: CertificateGate, clock: Clock) -> None:
    clock.now = NOW - DAY
    assert refusal(gate, pem()) == "CERT_NOT_YET_VALID"


def test_a_revoked_certificate_is_refused_as_soon_as_the_list_is_there(
    gate: CertificateGate, revocations: Revocations, tmp_path: Path
) -> None:
    certificate = pem()
    peer = gate.admit("Heartbeat", Caller("ipv4:127.0.0.1:1", certificate))
    serial = read_peer_certificate(certificate).serial
    (tmp_path / "revocations.json").write_bytes(signed_list(2, serial))
    assert revocations.refresh()
    assert refusal(gate, certificate) == "CERT_REVOKED"
    verdict = gate.verdict(peer)
    assert verdict is not None
    assert verdict.reason == "CERT_REVOKED"
    gate.admit("Heartbeat", Caller("ipv4:127.0.0.1:1", pem()))


def test_whoever_comes_in_is_held_to_the_newest_list(gate: CertificateGate, tmp_path: Path) -> None:
    certificate = pem()
    serial = read_peer_certificate(certificate).serial
    gate.admit("Register", Caller("ipv4:127.0.0.1:1", certificate))
    (tmp_path / "revocations.json").write_bytes(signed_list(2, serial))
    assert refusal(gate, certificate, "Register") == "CERT_REVOKED"


def test_a_list_that_disappears_changes_nothing_and_is_told_once(
    gate: CertificateGate,
    revocations: Revocations,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    certificate = pem()
    serial = read_peer_certificate(certificate).serial
    path = tmp_path / "revocations.json"
    path.write_bytes(signed_list(2, serial))
    assert revocations.refresh()
    path.unlink()
    for _ in range(3):
        assert not revocations.refresh()
        assert refusal(gate, certificate) == "CERT_REVOKED"
    assert caplog.text.count("stays as it was") == 1
    path.write_bytes(signed_list(3, serial))
    assert revocations.refresh()


def test_an_older_list_takes_no_revocation_back(
    gate: CertificateGate, revocations: Revocations, tmp_path: Path
) -> None:
    certificate = pem()
    serial = read_peer_certificate(certificate).serial
    path = tmp_path / "revocations.json"
    path.write_bytes(signed_list(2, serial))
    revocations.refresh()
    # What a kit's memory keeps is beside the kit's own list in these tests.
    for attempt in (signed_list(1), b"{}", b""):
        path.unlink()
        path.write_bytes(attempt)
        assert not revocations.refresh()
        assert refusal(gate, certificate) == "CERT_REVOKED"


def test_a_list_that_was_replaced_before_the_first_look_is_not_missed(tmp_path: Path) -> None:
    path = tmp_path / "revocations.json"
    path.write_bytes(signed_list(1))
    memory = RevocationMemory(path, tmp_path, ISSUER.certificate)
    path.write_bytes(signed_list(2, "1a"))
    revocations = Revocations(path, memory)
    assert revocations.refresh()
    assert revocations.current.revokes_certificate("1a")


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the length of every list that is verified from now on."""
    lengths, offer = [], RevocationMemory.offer

    def told(memory: RevocationMemory, data: bytes) -> bool:
        lengths.append(len(data))
        return offer(memory, data)

    monkeypatch.setattr(RevocationMemory, "offer", told)
    return lengths


def test_a_list_that_does_not_hold_is_read_once_and_no_further_than_a_list_goes(
    gate: CertificateGate, offered: list[int], tmp_path: Path
) -> None:
    path = tmp_path / "revocations.json"
    path.write_bytes(b" " * (2 * MAX_LIST_BYTES))
    for _ in range(3):
        gate.admit("Register", Caller("ipv4:127.0.0.1:1", pem()))
    assert offered == [MAX_LIST_BYTES + 1]
    path.write_bytes(signed_list(2))
    gate.admit("Register", Caller("ipv4:127.0.0.1:1", pem()))
    assert len(offered) == 2


def test_a_list_that_the_disk_would_not_keep_is_tried_again(
    revocations: Revocations, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "revocations.json").write_bytes(signed_list(2, "1a"))
    with monkeypatch.context() as broken:
        broken.setattr(RevocationMemory, "offer", lambda *_: raised(StorageError("no space")))
        assert not revocations.refresh()
    assert revocations.refresh()
    assert revocations.current.revokes_certificate("1a")


def raised(error: Exception) -> bool:
    raise error


def test_who_calls_too_often_has_no_list_read(
    gate: CertificateGate,
    offered: list[int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gate, "_paces", Paces(0.001, 0.0))
    (tmp_path / "revocations.json").write_bytes(signed_list(2))
    assert refusal(gate, pem(), "Register") == "RATE_LIMITED"
    assert offered == []


@pytest.mark.parametrize(
    ("method", "role", "says"),
    [
        ("Heartbeat", Role.ADMIN, "Heartbeat may be called with the role client only, not admin"),
        ("Unheard", Role.CLIENT, "nobody may call Unheard"),
    ],
)
def test_a_refused_role_is_said_in_a_sentence_that_fits_every_role(
    gate: CertificateGate, method: str, role: Role, says: str
) -> None:
    with pytest.raises(MmarRunnerError) as refused:
        gate.admit(method, Caller("ipv4:127.0.0.1:1", pem(Identity("demo", role, "somebody"))))
    assert refused.value.message == says


def test_too_many_calls_a_second_are_refused_and_others_are_not(
    gate: CertificateGate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "_paces", Paces(0.001, 5.0))
    caller = Caller("ipv4:127.0.0.1:1", pem())
    for _ in range(5):
        gate.admit("Heartbeat", caller)
    assert refusal(gate, caller.certificate) == "RATE_LIMITED"
    gate.admit("Heartbeat", Caller("ipv4:127.0.0.1:2", pem()))


def test_a_refusal_is_written_down_with_who_it_was(
    tmp_path: Path, revocations: Revocations
) -> None:
    with AuditLog(tmp_path / "refused.jsonl") as audit:
        gate = CertificateGate("demo", revocations, audit, clock=Clock())
        caller = Caller("ipv4:127.0.0.1:1", pem())
        gate.refused("SubmitUpdate", caller, MmarRunnerError("no", reason="NON_FINITE"))
        gate.refused("Register", caller, MmarRunnerError("over", reason="RUN_OVER"))
    (line,) = read_audit(tmp_path / "refused.jsonl")
    assert (line["action"], line["who"], line["peer"]) == (
        "SubmitUpdate",
        "client site-1",
        "ipv4:127.0.0.1:1",
    )
    assert (line["decision"], line["reason"]) == ("refused", "NON_FINITE")


def test_a_call_that_broke_something_is_written_down_too(
    tmp_path: Path, revocations: Revocations
) -> None:
    """Whoever finds a fault of ours by trying leaves a trace."""
    with AuditLog(tmp_path / "broken.jsonl") as audit:
        gate = CertificateGate("demo", revocations, audit, clock=Clock())
        error = MmarRunnerError("internal error", reason="INTERNAL")
        gate.refused("SendResult", Caller("ipv4:127.0.0.1:1", pem()), error)
    (line,) = read_audit(tmp_path / "broken.jsonl")
    assert (line["who"], line["reason"]) == ("client site-1", "INTERNAL")


def test_a_peer_without_a_certificate_has_nothing_to_lose(gate: CertificateGate) -> None:
    assert gate.verdict(Peer("unix:")) is None
