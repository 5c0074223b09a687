# SPDX-License-Identifier: Apache-2.0
"""The gate of a server with certificates."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from mmar_runner.errors import CertificateError, MmarRunnerError, RefusedError
from mmar_runner.security.identity import Role
from mmar_runner.security.pki.certificates import check_period, read_peer_certificate
from mmar_runner.server.gate.audited_gate import AuditedGate
from mmar_runner.server.gate.names import MAX_INSTANCES
from mmar_runner.server.gate.pace import Paces
from mmar_runner.wire.gate import Peer

if TYPE_CHECKING:
    from mmar_runner.security.audit.log import AuditLog
    from mmar_runner.security.identity import PeerCertificate
    from mmar_runner.security.pki.followed import Revocations
    from mmar_runner.wire.gate import Caller

#: Which role may make a call; what is not named here, nobody may.
ROLE_OF_METHOD: Final = {
    "Register": Role.CLIENT,
    "Quit": Role.CLIENT,
    "Heartbeat": Role.CLIENT,
    "GetModel": Role.CLIENT,
    "SubmitUpdate": Role.CLIENT,
    "SubmitBestLocalModel": Role.CLIENT,
    "GetValidationModels": Role.CLIENT,
    "SubmitCrossSiteValidationResults": Role.CLIENT,
    "Exchange": Role.CLIENT,
    "SendResult": Role.CLIENT,
    "GetPackage": Role.CLIENT,
    "Decline": Role.CLIENT,
    "Assign": Role.CLIENT,
    "Retrieve": Role.CLIENT,
    "SendReply": Role.CLIENT,
}
#: What every role may ask, at every port: whether the server works.
HEALTH_METHODS: Final = frozenset({"Check", "Watch"})
#: What a combiner calls at its parent, for which it stands as a client does.
COMBINER_METHODS: Final = frozenset({"Register", "Quit", "Heartbeat", "GetModel", "SubmitUpdate"})
#: The same of the port for administrators.
ROLE_OF_ADMIN_METHOD: Final = dict.fromkeys(
    ("Login", "Logout", "Execute", "Upload", "Download"), Role.ADMIN
)
#: Calls by which somebody comes in.
_ENTRANCES: Final = frozenset({"Register", "GetPackage", "Assign", "Retrieve", "Login"})
#: Calls a second that one certificate may make for long, and at once.
CALLS_PER_SECOND: Final = 50.0
CALLS_AT_ONCE: Final = 400.0
#: Calls of one certificate that may be running, its held streams among them.
RUNNING_CALLS: Final = 128
#: Of these, such as hold memory while nobody reads them, or half of a message has come. Each
#: of a certificate's clients has one, and a second while a broken connection is not yet known
#: to be broken.
RUNNING_OF_METHOD: Final = {
    "Register": MAX_INSTANCES,
    "Heartbeat": MAX_INSTANCES,
    "Quit": MAX_INSTANCES,
    "GetModel": 2 * MAX_INSTANCES,
    "SubmitUpdate": 2 * MAX_INSTANCES,
    "SubmitBestLocalModel": 2 * MAX_INSTANCES,
    "GetValidationModels": 2 * MAX_INSTANCES,
    "SubmitCrossSiteValidationResults": MAX_INSTANCES,
    "Exchange": 2 * MAX_INSTANCES,
    "GetPackage": MAX_INSTANCES,
    "Assign": MAX_INSTANCES,
    "SendResult": MAX_INSTANCES,
    "Retrieve": 2 * MAX_INSTANCES,
    "SendReply": 4 * MAX_INSTANCES,
    "Check": MAX_INSTANCES,
    "Watch": 8,
    "Upload": 2,
    "Download": 4,
}

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Return the time, UTC."""
    return datetime.now(UTC)


class CertificateGate(AuditedGate):
    """Lets in who has a certificate of the project that holds, for calls of its role.

    TLS has checked the chain and the possession of the key; everything that may change
    while a connection lives is checked here, at every call.

    Args:
        project: The project that certificates must name.
        revocations: What the project has revoked.
        audit: Gets a line for every refusal.
        roles: Which role may make which call.
        clock: Tells the time, UTC.
    """

    def __init__(
        self,
        project: str,
        revocations: Revocations,
        audit: AuditLog,
        *,
        roles: Mapping[str, Role] = ROLE_OF_METHOD,
        clock: Clock = utc_now,
    ) -> None:
        super().__init__(audit)
        self._project = project
        self._revocations = revocations
        self._roles = roles
        self._clock = clock
        self._paces = Paces(CALLS_PER_SECOND, CALLS_AT_ONCE)

    def admit(self, method: str, caller: Caller) -> Peer:
        """Let a caller in.

        Raises:
            CertificateError: CERT_MISSING, CERT_INVALID, CERT_PROJECT, CERT_EXPIRED,
                CERT_NOT_YET_VALID, CERT_REVOKED or ROLE.
            RefusedError: RATE_LIMITED or TOO_MANY_CALLS.
        """
        if caller.certificate is None:
            raise CertificateError("no client certificate was shown", reason="CERT_MISSING")
        certificate = read_peer_certificate(caller.certificate)
        peer = Peer(caller.address, certificate)
        self._check_pace(peer)  # first: what follows costs more
        if method in _ENTRANCES:
            # Whoever comes in is held to the newest list, not to that of the last look.
            self._revocations.refresh()
        self._check(certificate)
        self._check_role(method, certificate)
        self._check_running(method, peer)
        return peer

    def verdict(self, peer: Peer) -> MmarRunnerError | None:
        """Return why a peer that was let in may not go on, or None."""
        try:
            if peer.certificate is not None:
                self._check(peer.certificate)
        except CertificateError as error:
            return error
        return None

    def _check(self, certificate: PeerCertificate) -> None:
        identity = certificate.identity
        if identity.project != self._project:
            msg = f"the certificate is of the project {identity.project!r}, not {self._project!r}"
            raise CertificateError(msg, reason="CERT_PROJECT")
        check_period(certificate, self._clock())
        if self._revocations.current.revokes_certificate(certificate.serial):
            msg = f"the certificate {certificate.serial} of {identity.name} is revoked"
            hint = "ask the project's office for a new start-up kit"
            raise CertificateError(msg, reason="CERT_REVOKED", hint=hint)

    def _check_role(self, method: str, certificate: PeerCertificate) -> None:
        if method in HEALTH_METHODS:
            return
        needed, role = self._roles.get(method), certificate.identity.role
        if needed is None:
            raise CertificateError(f"nobody may call {method}", reason="ROLE")
        combines = role is Role.COMBINER and method in COMBINER_METHODS
        if role is not needed and not (combines and needed is Role.CLIENT):
            msg = f"{method} may be called with the role {needed} only, not {role}"
            raise CertificateError(msg, reason="ROLE")

    def _check_running(self, method: str, peer: Peer) -> None:
        for kind, most in ((None, RUNNING_CALLS), (method, RUNNING_OF_METHOD.get(method))):
            if most is not None and self.live_calls(peer.fingerprint, kind) >= most:
                msg = f"{peer.who} has {most} calls {kind or 'of all kinds'} running already"
                raise RefusedError(msg, reason="TOO_MANY_CALLS")

    def _check_pace(self, peer: Peer) -> None:
        who = peer.fingerprint
        if not self._paces.take(who, time.monotonic()):
            msg = f"{peer.who} makes more than {CALLS_PER_SECOND:g} calls a second"
            raise RefusedError(msg, reason="RATE_LIMITED", hint="try again a little later")

    def who_is(self, caller: Caller) -> str:
        """Return the identity for a record; empty if there is none."""
        if caller.certificate is None:
            return ""
        try:
            return Peer(caller.address, read_peer_certificate(caller.certificate)).who
        except CertificateError:
            return ""
