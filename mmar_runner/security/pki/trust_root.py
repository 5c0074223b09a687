# SPDX-License-Identifier: Apache-2.0
"""Whom a participant trusts: the project's authority and the administrators' keys.

``trust.json`` comes with the start-up kit, signed by the authority, and never from the
server. That a key stands in it says whose it is, and not that its signature suffices.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from mmar_runner.documents.strict_json import parse_checked
from mmar_runner.errors import KitError
from mmar_runner.security.pki.envelope import key_id, load_public_key

if TYPE_CHECKING:
    from mmar_runner.security.pki.envelope import PublicKey

TRUST_FILE: Final = "trust.json"
_LIMIT: Final = 4 * 1024 * 1024
_FORMAT_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class ReleaseKey:
    """A key that an administrator signs MMARs with.

    Attributes:
        id: sha256 of its SubjectPublicKeyInfo in DER, hex.
        public_key: The key as PEM.
        owner: The administrator's e-mail address.
        org: The administrator's organisation.
    """

    id: str
    public_key: str
    owner: str
    org: str

    def load(self) -> PublicKey:
        """Return the key itself.

        Raises:
            ValueError: The PEM text holds no Ed25519 or P-256 key.
        """
        return load_public_key(self.public_key.encode())


@dataclass(frozen=True, slots=True)
class TrustRoot:
    """What ``trust.json`` says.

    Attributes:
        project: The project's name.
        root_sha256: sha256 of the authority's certificate (DER), hex.
        release_keys: Keys of the administrators.
    """

    project: str
    root_sha256: str
    release_keys: tuple[ReleaseKey, ...]

    def owner_of(self, key: str) -> str | None:
        """Return whose key an id stands for, or None."""
        return next((k.owner for k in self.release_keys if k.id == key), None)


def dump(trust_root: TrustRoot) -> bytes:
    """Return the bytes of ``trust.json``; equal values give equal bytes."""
    keys = sorted(trust_root.release_keys, key=lambda k: (k.owner, k.id))
    value = {
        "version": _FORMAT_VERSION,
        "project": trust_root.project,
        "root_sha256": trust_root.root_sha256,
        "release_keys": [asdict(key) for key in keys],
    }
    return f"{json.dumps(value, indent=2, ensure_ascii=False)}\n".encode()


def load(data: bytes, name: str = TRUST_FILE) -> TrustRoot:
    """Return the trust root that a file holds.

    Args:
        data: The file's bytes.
        name: What to call the file in a message.

    Raises:
        KitError: TRUST_ROOT, it does not fit its schema, a key is not what its id
            says, or stands there twice.
    """
    try:
        value = parse_checked(data, "trust", limit=_LIMIT)
        keys = tuple(ReleaseKey(**key) for key in value["release_keys"])
        _check(keys)
    except ValueError as error:
        hint = "ask whoever provisions the project for this file again"
        raise KitError(f"{name} {error}", hint=hint, reason="TRUST_ROOT") from error
    return TrustRoot(value["project"], value["root_sha256"], keys)


def _check(keys: tuple[ReleaseKey, ...]) -> None:
    seen: set[str] = set()
    for index, key in enumerate(keys):
        place = f"/release_keys/{index}"
        try:
            real = key_id(key.load())
        except ValueError as error:
            raise ValueError(f"has at {place}/public_key no key of ours: {error}") from error
        if real != key.id:
            raise ValueError(f"has at {place}/id not the key's own id, which is {real}")
        if real in seen:
            raise ValueError(f"has at {place} a key for the second time")
        seen.add(real)
