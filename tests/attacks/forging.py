# SPDX-License-Identifier: Apache-2.0
"""A provisioned project, its signed MMAR, and certificates that nobody should accept."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mmar_runner.cli.main import main
from mmar_runner.security.identity import PeerCertificate
from mmar_runner.security.pki.certificates import read_peer_certificate
from mmar_runner.security.pki.issuing import Issuer, make_root
from mmar_runner.security.pki.keys import load_tls_key, new_tls_key, save_private_key
from mmar_runner.security.pki.revocation import RevocationList, read_revocations, sign_revocations
from mmar_runner.testing.kits import make_kits
from mmar_runner.wire.credentials import TlsFiles

ECHO = Path(__file__).parents[2] / "mmars" / "echo"
LEAD = "lead@example.org"
PROJECT = "demo"
HONEST = ("site-1", "site-2")
#: Valid kits whose owners attack; several, since each has a pace of its own.
EVIL = ("evil-a", "evil-b", "evil-c", "evil-d")
#: Those who spend all that a certificate may, and who looks on meanwhile.
GREEDY = ("greedy-a", "greedy-b", "greedy-c", "witness")
SITES = (*HONEST, *EVIL, *GREEDY)
HOUR = timedelta(hours=1)


def uri(name: str, role: str = "client", project: str = PROJECT) -> str:
    return f"spiffe://{project}/{role}/{name}"


class Project:
    """Kits of everybody, and the authority's key in the wrong hands."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kits = make_kits(folder / "project", clients=SITES)
        authority = self.kits.out / "authority"
        root = (authority / "rootCA.pem").read_bytes()
        self.issuer = Issuer(load_tls_key(authority / "root.key"), root)
        self._serial = 0

    def mmar(
        self,
        *,
        lease: float | None = None,
        name: str = "echo",
        checkpoint: bytes | None = None,
        filters: Sequence[Any] = (),
        **keys: Any,
    ) -> Path:
        """Return a signed copy of the sample MMAR.

        Args:
            lease: Its ``heart_beat_timeout``.
            name: What it is called.
            checkpoint: The first model, a safetensors file, in place of the sample's own.
            filters: Outbound filters of every client.
            keys: Keys of our own for the server's file.
        """
        copy = self.folder / name
        shutil.copytree(ECHO, copy)
        path = copy / "config" / "config_fed_server.json"
        server = json.loads(path.read_text()) | keys
        if lease is not None:
            server["servers"][0]["heart_beat_timeout"] = lease
        if checkpoint is not None:
            del server["model_persistor"]
            server["ckpt_preload_path"] = "models/first.safetensors"
            (copy / "models").mkdir(exist_ok=True)
            (copy / "models" / "first.safetensors").write_bytes(checkpoint)
        path.write_text(json.dumps(server))
        if filters:
            path = copy / "config" / "config_fed_client.json"
            client = json.loads(path.read_text())
            client["client"]["outbound_filters"] = list(filters)
            path.write_text(json.dumps(client))
        with contextlib.suppress(SystemExit):
            main(["sign-mmar", str(copy), "--kit", str(self.kits.admin(LEAD))])
        assert (copy / "signature.json").exists()
        return copy

    def tls(self, name: str) -> TlsFiles:
        """Return what a kit's owner shows."""
        kit = self.kits.out / name
        side = "server" if (kit / "server.crt").exists() else "client"
        return TlsFiles(kit / f"{side}.crt", kit / f"{side}.key", kit / "rootCA.pem")

    def server_kit(self, name: str) -> Path:
        """Return a server's kit of its own: what one run learns no other knows."""
        return Path(shutil.copytree(self.kits.server, self.folder / name))

    def other_authority(self) -> Issuer:
        """Return another authority that calls itself the same."""
        key = new_tls_key()
        return Issuer(key, make_root(key, PROJECT, datetime.now(UTC), 24 * HOUR))

    def forge(
        self,
        *uris: str,
        issuer: Issuer | None = None,
        life: timedelta = HOUR,
        usage: Any = ExtendedKeyUsageOID.CLIENT_AUTH,
        names: tuple[x509.GeneralName, ...] = (),
        chain: int = 0,
        folder: Path | None = None,
    ) -> TlsFiles:
        """Return a certificate as the authority never makes them, and its key."""
        self._serial += 1
        folder = folder or self.folder / f"forged-{self._serial}"
        folder.mkdir(exist_ok=True)
        key, now, by = new_tls_key(), datetime.now(UTC), issuer or self.issuer
        root = x509.load_pem_x509_certificate(by.certificate)
        alternatives = [*map(x509.UniformResourceIdentifier, uris), *names]
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "site-1")]))
            .issuer_name(root.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - HOUR)
            .not_valid_after(now + life)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        )
        if alternatives:
            builder = builder.add_extension(
                x509.SubjectAlternativeName(alternatives), critical=False
            )
        pem = builder.sign(by.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        # Renamed over what is there, as a renewal does it.
        (folder / "fresh.crt").write_bytes(pem + by.certificate * chain)
        save_private_key(folder / "fresh.key", key)
        (folder / "fresh.key").replace(folder / "tls.key")
        (folder / "fresh.crt").replace(folder / "tls.crt")
        (folder / "root.pem").write_bytes(self.issuer.certificate)
        return TlsFiles(folder / "tls.crt", folder / "tls.key", folder / "root.pem")

    def signed_revocations(self, kit: Path, *serials: str, key: Any = None, step: int = 1) -> bytes:
        """Return the list that follows a kit's, with further serial numbers."""
        path = kit / "revocations.json"
        old = read_revocations(path.read_bytes(), self.issuer.certificate)
        now = datetime.now(UTC)
        new = RevocationList(
            PROJECT, old.version + step, now, now + 24 * HOUR, (*old.serials, *serials)
        )
        return sign_revocations(new, key or self.issuer.key)

    def revoke(self, kit: Path, *serials: str) -> None:
        """Let the project's office replace the list of a server's kit."""
        self.replace(kit / "revocations.json", self.signed_revocations(kit, *serials))

    @staticmethod
    def replace(path: Path, data: bytes) -> None:
        fresh = path.with_suffix(".fresh")
        fresh.write_bytes(data)
        fresh.replace(path)


def certificate_of(tls: TlsFiles) -> PeerCertificate:
    return read_peer_certificate(tls.cert.read_bytes())
