# SPDX-License-Identifier: Apache-2.0
"""Which files a start-up kit has, and how the authority vouches for them.

The authority signs what a site must not change by accident or be given by somebody else.
What the site owns (its policy), what is renewed (certificate, revocations) and what is
secret (keys) stands outside that signature; each is checked in its own way.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.documents.strict_json import parse_checked
from mmar_runner.errors import KitError, SignatureError
from mmar_runner.security.identity import Identity, Role
from mmar_runner.security.kits.mends import mend
from mmar_runner.security.pki.certificates import certificate_key
from mmar_runner.security.pki.envelope import open_signed, sign
from mmar_runner.storage.atomic import translated
from mmar_runner.storage.bounded import read_bounded

if TYPE_CHECKING:
    from mmar_runner.security.pki.envelope import PrivateKey

KIT_TYPE: Final = "application/vnd.mmar-runner.kit+json"
SIGNATURE_FILE: Final = "signature.json"
README_FILE: Final = "readme.txt"
STATE_FOLDER: Final = "state"
REQUEST_FILE: Final = "request.pem"
_MAX_BYTES: Final = 8 * 1024 * 1024
_LOOKED_AT: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class KitFiles:
    """Names of the files of a kit; None where a role has no such file.

    Attributes:
        key: The private key for TLS.
        certificate: Its certificate.
        config: What the server or client is to do.
        policy: The site's own policy.
        release_key: The private key that signs MMARs.
        release_public: Its public key.
        root: The authority's certificate.
        authorization: The project's policy.
        trust: Whose signatures are known.
        revocations: What no longer counts.
    """

    key: str
    certificate: str
    config: str | None = None
    policy: str | None = None
    release_key: str | None = None
    release_public: str | None = None
    root: str = "rootCA.pem"
    authorization: str = "authorization.json"
    trust: str = "trust.json"
    revocations: str = "revocations.json"

    @property
    def signed(self) -> tuple[str, ...]:
        """The files that the authority signs."""
        names = (self.root, self.authorization, self.trust, self.config, self.release_public)
        return tuple(name for name in names if name)

    @property
    def required(self) -> tuple[str, ...]:
        """The files without which a kit is none, beside a site's own policy."""
        names = (self.key, self.release_key, self.certificate, self.revocations)
        return (*(name for name in names if name), *self.signed, SIGNATURE_FILE)


KIT_FILES: Final[Mapping[Role, KitFiles]] = {
    Role.SERVER: KitFiles("server.key", "server.crt", "fed_server.json", "site_policy.json"),
    Role.COMBINER: KitFiles(
        "combiner.key", "combiner.crt", "fed_combiner.json", "site_policy.json"
    ),
    Role.CLIENT: KitFiles("client.key", "client.crt", "fed_client.json", "site_policy.json"),
    Role.ADMIN: KitFiles(
        "client.key",
        "client.crt",
        "fed_admin.json",
        release_key="release.key",
        release_public="release.pub",
    ),
}


def sign_files(files: Mapping[str, bytes], identity: Identity, root_key: PrivateKey) -> bytes:
    """Return ``signature.json`` over the files of a participant's kit.

    Args:
        files: Content by name.
        identity: Whose kit it is.
        root_key: The authority's private key.
    """
    entries = [
        {"path": name, "size": len(data), "sha256": sha256(data).hexdigest()}
        for name, data in sorted(files.items())
    ]
    payload = {"type": "kit", "identity": identity.uri, "files": entries}
    return sign(KIT_TYPE, json.dumps(payload).encode(), [root_key]).to_json()


def signed_files(folder: Path, root_pem: bytes, identity: Identity) -> Mapping[str, bytes]:
    """Return the content of the signed files, once each is what was signed.

    Args:
        folder: The kit.
        root_pem: The authority's certificate.
        identity: Whose kit it must be.

    Raises:
        KitError: A file, or the signature itself, is not what the authority signed for
            this participant (KIT_ALTERED), or a file is missing (KIT_INCOMPLETE).
        StorageError: A file cannot be read.
    """
    path = folder / SIGNATURE_FILE
    value = _payload(path, root_pem)
    if value["identity"] != identity.uri:
        raise _altered(
            path, f"was made for {value['identity']}, the certificate for {identity.uri}"
        )
    expected = {entry["path"]: entry for entry in value["files"]}
    unsigned = [name for name in KIT_FILES[identity.role].signed if name not in expected]
    if unsigned:
        raise _altered(path, f"does not vouch for {', '.join(unsigned)}")
    contents = {}
    for name in KIT_FILES[identity.role].signed:
        contents[name] = read_kit_file(folder / name)
        if sha256(contents[name]).hexdigest() != expected[name]["sha256"]:
            raise _altered(folder / name, "is not as the project's authority signed it")
    return contents


def read_kit_file(path: Path) -> bytes:
    """Return a file of a kit.

    Raises:
        KitError: It is missing (KIT_INCOMPLETE) or too long (KIT_ALTERED).
        StorageError: It cannot be read.
    """
    with translated(path):
        try:
            data = read_bounded(path, _MAX_BYTES)
        except FileNotFoundError as error:
            raise KitError(
                f"{path} is missing", hint=mend(path), reason="KIT_INCOMPLETE"
            ) from error
    if len(data) > _MAX_BYTES:
        raise _altered(path, f"is longer than {_MAX_BYTES} bytes")
    return data


def private_key_files(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder that hold a private key as PEM, whatever their names.

    Raises:
        StorageError: A file cannot be read.
    """
    with translated(folder):
        # Of a kit that was copied by hand, a key may lie deeper; links are not followed.
        paths = [Path(below, name) for below, _, names in os.walk(folder) for name in names]
    for path in sorted(path for path in paths if path.is_file()):
        with translated(path), path.open("rb") as file:
            if b"PRIVATE KEY-----" in file.read(_LOOKED_AT):
                yield path


def _payload(path: Path, root_pem: bytes) -> Mapping[str, Any]:
    try:
        key = certificate_key(root_pem)
        data = open_signed(read_kit_file(path), KIT_TYPE, key, signer="the project's authority")
        value: Mapping[str, Any] = parse_checked(data, "kit", limit=_MAX_BYTES)
    except (SignatureError, ValueError) as error:
        raise _altered(path, f"does not hold: {error}") from error
    return value


def _altered(path: Path, what: str) -> KitError:
    return KitError(f"{path} {what}", hint=mend(path), reason="KIT_ALTERED")
