# SPDX-License-Identifier: Apache-2.0
"""Seeds of the targets of trust: made by the project's office, and by participants."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from mmar_runner.security.identity import Identity, Role
from mmar_runner.security.kits.files import KIT_FILES, sign_files
from mmar_runner.security.listing import FileKind, FileListing, ListedFile
from mmar_runner.security.pki import trust_root
from mmar_runner.security.pki.certificates import certificate_fingerprint
from mmar_runner.security.pki.envelope import key_id, read_envelope
from mmar_runner.security.pki.issuing import Issuer, issue
from mmar_runner.security.pki.requests import make_request
from mmar_runner.security.pki.revocation import (
    REVOCATIONS_TYPE,
    RevocationList,
    sign_revocations,
)
from mmar_runner.security.pki.trust_root import ReleaseKey, TrustRoot
from mmar_runner.security.provisioning.state import AuthorityState, Issued, Known, Revoked
from mmar_runner.security.signatures.manifest import dump_manifest, make_manifest
from mmar_runner.security.tokens import TokenMint
from tests.fuzz.keys import (
    NOW,
    PROJECT,
    RELEASE_KEY,
    ROOT_KEY,
    SITE,
    SITE_KEY,
    root_pem,
    signed,
)
from tests.fuzz.target import HERE

_SHA: Final = "ab" * 32
_PROJECT: Final = b"""name: demo
server: {cn: localhost, org: org-a, host_names: [127.0.0.1], fed_learn_port: 8002}
fl_clients:
  - {client_name: site-1, org: org-b}
admin_clients:
  - email: lead@example.org
    org: org-a
"""


def trust() -> Mapping[str, dict[str, bytes]]:
    """Return seeds by target and name."""
    return {**_keys(), **_signed(), **_files()}


def _keys() -> dict[str, dict[str, bytes]]:
    issuer = Issuer(ROOT_KEY, root_pem())
    period = (NOW, NOW + timedelta(days=365))
    server = Identity(PROJECT, Role.SERVER, "localhost")
    client_pem = issue(issuer, SITE, SITE_KEY.public_key(), period)
    server_pem = issue(issuer, server, SITE_KEY.public_key(), period, ["localhost"])
    site = x509.load_pem_x509_csr(make_request(SITE, SITE_KEY)).public_bytes(Encoding.DER)
    admin = make_request(Identity(PROJECT, Role.ADMIN, "a@b.c"), SITE_KEY, RELEASE_KEY)
    return {
        "certificate": {
            "client": _der(client_pem),
            "server": _der(server_pem),
            "root": _der(root_pem()),
            "pem": client_pem,
        },
        "request": {"site": site, "admin": admin},
        "authority": {"state": _authority(client_pem).to_json()},
    }


def _der(pem: bytes) -> bytes:
    return x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)


def _authority(pem: bytes) -> AuthorityState:
    key = SITE_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    issued = (Issued("ab", NOW.isoformat(), pem.decode()),)
    known = Known(Role.CLIENT, "site-1", False, key.decode(), None, issued, signed={"a": _SHA})
    revoked = Revoked(2, ("ab",), (_SHA,), (_SHA,))
    return AuthorityState(PROJECT, known={"site-1": known}, revoked=revoked)


def _signed() -> dict[str, dict[str, bytes]]:
    revoked = RevocationList(PROJECT, 3, NOW, NOW, ("ab",), (_SHA,), (_SHA,))
    signed_list = sign_revocations(revoked, ROOT_KEY)
    listing = FileListing("demo", (ListedFile("config/a.json", 2, _SHA, FileKind.CONFIG),))
    manifest = make_manifest(listing, project=PROJECT, version=1, created=NOW, expires=NOW)
    files = dict.fromkeys(KIT_FILES[Role.CLIENT].signed, b"x")
    kit = read_envelope(sign_files(files, SITE, ROOT_KEY)).payload
    return {
        "envelope": {"list": signed_list, "kit": signed("t", b"{}", RELEASE_KEY)},
        "manifest": {"manifest": dump_manifest(manifest)},
        "revocations": {"list": signed(REVOCATIONS_TYPE, b"{}", RELEASE_KEY)},
        "signed_revocations": {"list": read_envelope(signed_list).payload},
        "kit_signature": {"kit": kit},
    }


def _files() -> dict[str, dict[str, bytes]]:
    public = RELEASE_KEY.public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    release = ReleaseKey(key_id(public), pem, "a@b.c", "org-a")
    root = TrustRoot(PROJECT, certificate_fingerprint(root_pem()), (release,))
    token = TokenMint(bytes(32), lifetime=60).issue("site-1", "s", 1, "", now=NOW.timestamp())
    sample = HERE.parent / "assets/policies/authorization.json"
    policy = (
        b'{"version": 1, "byoc": "digest", "accepted_digests": ["%b"], "data_folders": ["/data"],'
    )
    policy += b'"mandatory_filters": {"outbound": ["Noise", {"name": "Clip", "args": {"c": 1}}]}}'
    return {
        "trust": {"trust": trust_root.dump(root)},
        "authorization": {"sample": sample.read_bytes()},
        "site_policy": {"policy": policy % _SHA.encode()},
        "project": {"project": _PROJECT},
        "versions": {"versions": b'{"demo": {"net": {"version": 3, "digest": null}, "old": 1}}'},
        "token": {"token": token.encode()},
        "archive": _archives(),
    }


def _archives() -> dict[str, bytes]:
    zipped, tarred = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config/a.json", b"{}" * 20)
        archive.writestr(zipfile.ZipInfo("b/"), b"")
    with tarfile.open(fileobj=tarred, mode="w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("config/" + "ü" * 60)
        info.size = 4
        tar.addfile(info, io.BytesIO(b"abcd"))
    tar_bytes = tarred.getvalue()
    return {"zip": zipped.getvalue(), "tar": tar_bytes, "tar_gz": gzip.compress(tar_bytes, mtime=0)}
