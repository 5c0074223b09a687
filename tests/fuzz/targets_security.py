# SPDX-License-Identifier: Apache-2.0
"""Targets: certificates, signatures, policies, lists, archives: what trust is made from."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Final

from mmar_runner.security.identity import Role
from mmar_runner.security.kits.files import KIT_FILES, KIT_TYPE, SIGNATURE_FILE, signed_files
from mmar_runner.security.packages.packing import PackageLimits, pack, unpack
from mmar_runner.security.pki import trust_root
from mmar_runner.security.pki.certificates import (
    certificate_hosts,
    check_issuer,
    load_certificate,
    read_peer_certificate,
)
from mmar_runner.security.pki.envelope import read_envelope, verify
from mmar_runner.security.pki.requests import read_request
from mmar_runner.security.pki.revocation import REVOCATIONS_TYPE, read_revocations
from mmar_runner.security.policy.authorization_file import load_authorization
from mmar_runner.security.policy.site_policy import load_policy
from mmar_runner.security.provisioning.project_file import load_project
from mmar_runner.security.provisioning.state import AuthorityState
from mmar_runner.security.signatures.manifest import dump_manifest, read_manifest
from mmar_runner.security.signatures.version_memory import VersionMemory
from mmar_runner.security.tokens import TokenMint
from tests.fuzz.keys import NOW, RELEASE_KEY, SITE, root_pem, signed
from tests.fuzz.target import FindingError, Target, scratch
from tests.fuzz.targets_documents import JSON

_SECRET: Final = bytes(32)
_LIMITS: Final = PackageLimits(1 << 20, 1 << 20, 1 << 20, entries=64)
_PEM: Final = (
    *(b"-----BEGIN CERTIFICATE-----\n", b"-----END CERTIFICATE-----\n", b"-----BEGIN "),
    *(
        b"\x30\x82",
        b"\x06\x03\x55\x1d\x11",
        b"\x86",
        b"\x0c",
        b"\x02\x01\x00",
        b"\x17\x0d",
        b"\xa3",
    ),
)


def _pem(data: bytes, label: str) -> bytes:
    """Return bytes as PEM: mutated where it matters, and not in their base64."""
    if data.startswith(b"-----"):
        return data
    body = base64.encodebytes(data)
    return b"-----BEGIN %b-----\n%b-----END %b-----\n" % (label.encode(), body, label.encode())


def _certificate(data: bytes) -> None:
    pem = _pem(data, "CERTIFICATE")
    certificate_hosts(load_certificate(pem))
    check_issuer(pem, root_pem(), NOW)
    read_peer_certificate.__wrapped__(pem)


def _request(data: bytes) -> None:
    read_request(_pem(data, "CERTIFICATE REQUEST"))


def _envelope(data: bytes) -> None:
    envelope = read_envelope(data)
    verify(envelope, envelope.payload_type, [RELEASE_KEY.public_key()])
    if read_envelope(envelope.to_json()) != envelope:
        raise FindingError("an envelope that changes when it is written again")


def _manifest(data: bytes) -> None:
    try:
        manifest = read_manifest(data)
    except ValueError as error:  # which the rule about signatures puts into a sentence
        str(error).encode()
        return
    if read_manifest(dump_manifest(manifest)) != manifest:
        raise FindingError("a manifest that changes when it is written again")


def _revocations(data: bytes) -> None:
    read_revocations(data, root_pem())
    raise FindingError("a list that nobody signed")


def _signed_revocations(data: bytes) -> None:
    found = read_revocations(signed(REVOCATIONS_TYPE, data), root_pem())
    found.stale(NOW)


def _kit_signature(data: bytes) -> None:
    with scratch() as folder:
        for name in KIT_FILES[Role.CLIENT].signed:
            (folder / name).write_bytes(b"x")
        (folder / SIGNATURE_FILE).write_bytes(signed(KIT_TYPE, data))
        signed_files(folder, root_pem(), SITE)


def _trust(data: bytes) -> None:
    trust_root.load(data)


def _authority(data: bytes) -> None:
    state = AuthorityState.from_json(data)
    if AuthorityState.from_json(state.to_json()) != state:
        raise FindingError("an authority that forgets")


def _in_file(name: str, read: Callable[[Path], object]) -> Callable[[bytes], None]:
    def run(data: bytes) -> None:
        with scratch() as folder:
            path = folder / name
            path.write_bytes(data)
            read(path)

    return run


def _versions(path: Path) -> None:
    memory = VersionMemory(path)
    memory.known()


def _token(data: bytes) -> None:
    mint = TokenMint(_SECRET, lifetime=60)
    mint.read(data.decode(errors="replace"), fingerprint="", now=NOW.timestamp())


def _archive(path: Path) -> None:
    """Unpack; what was unpacked can be packed, and nothing lies beside it."""
    folder = path.parent / "out"
    unpack(path, folder, _LIMITS)
    for file in folder.rglob("*"):
        if file.is_symlink() or not file.resolve().is_relative_to(folder):
            raise FindingError(f"{file} leads out of the folder")
    pack(folder, path.parent / "again.zip", _LIMITS)


TARGETS: Final = (
    Target("certificate", _certificate, "certificates of peers", _PEM),
    Target("request", _request, "requests for certificates", _PEM),
    Target("envelope", _envelope, "signatures", JSON),
    Target("manifest", _manifest, "signed manifests of MMARs", JSON),
    Target("revocations", _revocations, "lists of revocations that a server sends", JSON),
    Target("signed_revocations", _signed_revocations, "lists that the authority signed", JSON),
    Target("kit_signature", _kit_signature, "signature.json of a kit", JSON),
    Target("trust", _trust, "trust.json of a kit", JSON),
    Target("authority", _authority, "state.json of an authority", JSON),
    Target("authorization", _in_file("a.json", load_authorization), "authorization.json", JSON),
    Target("site_policy", _in_file("p.json", load_policy), "site_policy.json", JSON),
    Target(
        "project", _in_file("project.yml", load_project), "project.yml", (b"- ", b": ", b"\n  ")
    ),
    Target("versions", _in_file("versions.json", _versions), "the memory of versions", JSON),
    Target("token", _token, "tokens of sessions", (b"v1.", b".", b"=", b"WyJ")),
    Target(
        "archive",
        _in_file("package", _archive),
        "packages of MMARs",
        (
            *(
                b"PK\x03\x04",
                b"PK\x01\x02",
                b"PK\x05\x06",
                b"PK\x06\x06",
                b"PK\x06\x07",
                b"ustar\x00",
            ),
            *(b"\x1f\x8b\x08\x00", b"../", b"/etc/x", b"a\\b", b"\x01\x00\x10\x00", b"up\x09\x00"),
            *(b"22 path=../x\n", b"\x80" + b"\xff" * 11, b"PK\x07\x08", b"\xff\xff\xff\xff"),
        ),
        longest=20_000,
    ),
)
