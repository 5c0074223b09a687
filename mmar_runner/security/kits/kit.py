# SPDX-License-Identifier: Apache-2.0
"""A start-up kit: the folder that says who a participant is and whom it trusts.

A kit is used as a whole or not at all: whatever is missing, altered, open to others or
out of date is refused before anything is said to anybody.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.documents.strict_json import parse_strict
from mmar_runner.errors import CertificateError, KitError
from mmar_runner.security.kits.checks import check_complete, check_keys, check_owned
from mmar_runner.security.kits.files import KIT_FILES, STATE_FOLDER, read_kit_file, signed_files
from mmar_runner.security.kits.folders import own_folder
from mmar_runner.security.kits.mends import mend
from mmar_runner.security.kits.wrong_folder import wrong_certificate
from mmar_runner.security.pki import trust_root
from mmar_runner.security.pki.certificates import (
    certificate_fingerprint,
    check_issuer,
    check_period,
    read_peer_certificate,
)
from mmar_runner.security.pki.revocation import RevocationMemory
from mmar_runner.storage.atomic import translated

if TYPE_CHECKING:
    from mmar_runner.security.identity import Identity, PeerCertificate, Role
    from mmar_runner.security.pki.trust_root import TrustRoot

_MAX_CONFIG_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class StartupKit:
    """A start-up kit that was checked.

    Attributes:
        folder: Where it lies.
        identity: Whose it is.
        certificate: What its certificate says.
        cert_file: The certificate, PEM.
        key_file: Its private key, PEM.
        root_file: The certificate of the project's authority, PEM.
        config: What ``fed_server.json``, ``fed_combiner.json``, ``fed_client.json`` or
            ``fed_admin.json`` says.
        target: Where the server answers clients, ``host:port``; of whoever works below a combiner,
            where that does.
        trust_root: Whose signatures are known.
        authorization: The project's policy.
        policy: The site's own policy; where it is missing, whoever judges by it refuses
            everything. None for an administrator.
        revocations: The signed list as the kit brought it; see `revocation_memory`.
        state_folder: What this participant has to remember; only it can read it.
        release_key_file: The key that an administrator signs with; None for a site.
    """

    folder: Path
    identity: Identity
    certificate: PeerCertificate
    cert_file: Path
    key_file: Path
    root_file: Path
    config: Mapping[str, Any]
    target: str | None
    trust_root: TrustRoot
    authorization: Path
    policy: Path | None
    revocations: Path
    state_folder: Path
    release_key_file: Path | None = None

    @property
    def admin_target(self) -> str | None:
        """Where the server answers administrators, ``host:port``; a site is not told."""
        for server in self.config.get("servers", ()):
            if "admin_port" in server and self.target is not None:
                return f"{self.target.rpartition(':')[0]}:{server['admin_port']}"
        return None

    @property
    def own_target(self) -> str | None:
        """Where a combiner answers its clients, ``host:port``; None for everybody else."""
        own = self.config.get("combiner")
        return None if own is None else str(own["service"]["target"])

    @property
    def assigns_clients(self) -> bool:
        """Whether a server's clients ask it which combiner they work below."""
        return any(one.get("assign_clients") is True for one in self.config.get("servers", ()))

    @property
    def pinned(self) -> dict[str, str]:
        """The one combiner that a client must have, by the client's name; of a server's kit."""
        found: dict[str, str] = {}
        for one in self.config.get("servers", ()):
            found |= one.get("pinned", {})
        return found

    @property
    def places(self) -> dict[str, str]:
        """The combiner below which each site has its place; of a server or combiner."""
        return dict(self.config.get("places", {}))

    @property
    def is_assigned(self) -> bool:
        """Whether a client asks its server which combiner it works below."""
        return self.config.get("client", {}).get("assigned") is True

    def revocation_memory(self) -> RevocationMemory:
        """Return the newest list that is known here: the kit's, or a newer one from a server.

        Raises:
            SignatureError: A list is not signed by the project's authority.
            StorageError: A list, or the authority's certificate, cannot be read.
        """
        with translated(self.root_file):
            root_pem = self.root_file.read_bytes()
        return RevocationMemory(self.revocations, self.state_folder, root_pem)


def load_kit(folder: Path, role: Role, *, now: datetime) -> StartupKit:
    """Check a start-up kit completely and return it.

    Args:
        folder: Where it lies.
        role: What its owner must be.
        now: The present time, with a time zone.

    Raises:
        KitError: A file is missing (KIT_INCOMPLETE), altered (KIT_ALTERED), a key can be
            read by others (KEY_READABLE), belongs to the authority (KIT_AUTHORITY_KEY) or
            to another certificate (KIT_KEY_MISMATCH), the kit is somebody else's
            (KIT_ROLE), others can change it (KIT_WRITABLE), or its state or policy
            is a link (KIT_LINK).
        CertificateError: CERT_EXPIRED, CERT_NOT_YET_VALID, CERT_AUTHORITY, CERT_REVOKED or
            CERT_INVALID.
        SignatureError: The revocation list is not signed by the authority.
        StorageError: A file cannot be read.
    """
    check_complete(folder, role)
    check_owned(folder, role)
    files = KIT_FILES[role]
    root_pem = read_kit_file(folder / files.root)
    certificate = _certificate(folder / files.certificate, root_pem, role, now)
    check_keys(folder, role, root_pem)
    identity = certificate.identity
    signed = signed_files(folder, root_pem, identity)
    config = _config(signed[files.config]) if files.config else {}
    kit = StartupKit(
        folder=folder,
        identity=identity,
        certificate=certificate,
        cert_file=folder / files.certificate,
        key_file=folder / files.key,
        root_file=folder / files.root,
        config=config,
        target=_target(config),
        trust_root=_trust_root(folder, signed[trust_root.TRUST_FILE], root_pem, identity),
        authorization=folder / files.authorization,
        policy=folder / files.policy if files.policy else None,
        revocations=folder / files.revocations,
        state_folder=_state_folder(folder),
        release_key_file=folder / files.release_key if files.release_key else None,
    )
    _check_not_revoked(kit)
    return kit


def _certificate(path: Path, root_pem: bytes, role: Role, now: datetime) -> PeerCertificate:
    pem = read_kit_file(path)
    try:
        certificate = read_peer_certificate(pem)
        check_issuer(pem, root_pem, now)
        check_period(certificate, now)
    except CertificateError as error:
        raise CertificateError(
            f"{path}: {error.message}", hint=error.hint, reason=error.reason
        ) from error
    if certificate.identity.role is not role:
        raise wrong_certificate(path, certificate.identity.role, role)
    return certificate


def _trust_root(folder: Path, data: bytes, root_pem: bytes, identity: Identity) -> TrustRoot:
    loaded = trust_root.load(data)
    if loaded.root_sha256 != certificate_fingerprint(root_pem):
        raise KitError(
            f"{trust_root.TRUST_FILE} names another authority than rootCA.pem",
            hint=mend(folder / trust_root.TRUST_FILE),
            reason="KIT_ALTERED",
        )
    if loaded.project != identity.project:
        raise KitError(
            f"{trust_root.TRUST_FILE} is of the project {loaded.project!r}, the certificate "
            f"of {identity.project!r}",
            hint=mend(folder / trust_root.TRUST_FILE),
            reason="KIT_ALTERED",
        )
    return loaded


def _config(data: bytes) -> Mapping[str, Any]:
    # The authority signed these bytes, so that nothing but our own mistakes is caught here.
    try:
        value: Mapping[str, Any] = parse_strict(data, limit=_MAX_CONFIG_BYTES)
    except ValueError as error:
        raise KitError(f"the kit's configuration {error}", reason="KIT_ALTERED") from error
    return value


def _target(config: Mapping[str, Any]) -> str | None:
    for server in config.get("servers", ()):
        return str(server["service"]["target"])
    return None


def _state_folder(folder: Path) -> Path:
    state = folder / STATE_FOLDER
    own_folder(state, tighten=True)
    return state


def _check_not_revoked(kit: StartupKit) -> None:
    if kit.revocation_memory().current.revokes_certificate(kit.certificate.serial):
        raise CertificateError(
            f"the certificate of {kit.identity.name} was revoked",
            hint="ask the project's administrator why, and for a new one",
            reason="CERT_REVOKED",
        )
