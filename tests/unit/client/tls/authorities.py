# SPDX-License-Identifier: Apache-2.0
"""An authority for tests, and a gate that reads who comes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from mmar_runner.errors import CertificateError
from mmar_runner.security.identity import Identity
from mmar_runner.security.pki.certificates import read_peer_certificate
from mmar_runner.security.pki.issuing import Issuer, issue, make_root
from mmar_runner.security.pki.keys import new_tls_key, save_private_key
from mmar_runner.wire.credentials import TlsFiles
from mmar_runner.wire.gate import Peer
from tests.open_gate import OpenGate

NOW = datetime.now(UTC)
DAY = timedelta(days=1)


class Authority:
    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        key = new_tls_key()
        (folder / "rootCA.pem").write_bytes(make_root(key, "project", NOW - 3 * DAY, 10 * DAY))
        self.issuer = Issuer(key, (folder / "rootCA.pem").read_bytes())

    def files(self, role, name, *, hosts=("localhost",), end=DAY):
        """Issue a new key and certificate in place of what was there."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        key, fresh = new_tls_key(), folder / "fresh.key"
        save_private_key(fresh, key)
        identity = Identity("project", role, name)
        period = (NOW - 2 * DAY, NOW + end)
        pem = issue(self.issuer, identity, key.public_key(), period, hosts)
        (folder / "fresh.crt").write_bytes(pem)
        fresh.replace(folder / "tls.key")
        (folder / "fresh.crt").replace(folder / "tls.crt")
        return TlsFiles(folder / "tls.crt", folder / "tls.key", self.folder / "rootCA.pem")


class CertificateReader(OpenGate):
    """Lets everybody in, knows their certificates, and refuses some."""

    def __init__(self):
        super().__init__()
        self.too_old = set()
        self.fingerprints = []
        self.calls = []

    def admit(self, method, caller):
        peer = Peer(caller.address, read_peer_certificate(caller.certificate))
        self.calls.append((method, peer.fingerprint))
        if peer.fingerprint not in self.fingerprints:
            self.fingerprints.append(peer.fingerprint)
        if (error := self.verdict(peer)) is not None:
            raise error
        return peer

    def verdict(self, peer):
        if peer.fingerprint in self.too_old:
            return CertificateError("it expired on 2026-01-01", reason="CERT_EXPIRED")
        return None
