# SPDX-License-Identifier: Apache-2.0
"""Private keys: P-256 for TLS, Ed25519 for releases, in files that nobody else can read."""

from __future__ import annotations

import os
import stat
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from mmar_runner.errors import KitError
from mmar_runner.security.pki.envelope import load_public_key
from mmar_runner.storage.atomic import translated, write_new
from mmar_runner.storage.bounded import read_bounded
from mmar_runner.storage.owners import is_ours

if TYPE_CHECKING:
    from mmar_runner.security.pki.envelope import PrivateKey, PublicKey

_MAX_BYTES: Final = 16 * 1024
_OWNER_ONLY: Final = 0o600
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def new_tls_key() -> ec.EllipticCurvePrivateKey:
    """Return a new key on the curve P-256."""
    return ec.generate_private_key(ec.SECP256R1())


def new_release_key() -> ed25519.Ed25519PrivateKey:
    """Return a new Ed25519 key."""
    return ed25519.Ed25519PrivateKey.generate()


def public_pem(key: PublicKey) -> bytes:
    """Return a public key as PEM."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(serialization.Encoding.PEM, form)


def save_private_key(path: Path, key: PrivateKey) -> None:
    """Write a private key with mode 0600; a file that exists is never replaced.

    After a crash the file is there as a whole or not at all.

    Raises:
        KitError: The file exists (KEY_EXISTS).
        StorageError: It cannot be written.
    """
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    if not write_new(path, pem, mode=_OWNER_ONLY):
        raise KitError(f"{path} exists; a private key is never replaced", reason="KEY_EXISTS")


def refuse_planted(path: Path) -> bool:
    """Return whether a private key is there already, for a place where one is to be made.

    Raises:
        KitError: What is there is not a regular file of this user's, so that somebody
            else may know the key (KEY_EXISTS).
        StorageError: It cannot be looked at.
    """
    with translated(path):
        try:
            status = path.lstat()
        except FileNotFoundError:
            return False
    if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
        raise KitError(
            f"{path} is not a regular file of this user's; no private key is taken from it",
            hint="find out who put it there, and take it away; a key of your own goes there",
            reason="KEY_EXISTS",
        )
    return True


def load_private_key(path: Path) -> PrivateKey:
    """Read a private key that nobody but this user and root can read.

    Raises:
        KitError: It is missing (KIT_INCOMPLETE), others can read it (KEY_READABLE), or it
            is no unencrypted key of a kind used here (KEY_FORMAT).
        StorageError: It cannot be read.
    """
    pem = _read_private(path)
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _unusable(path, "is no unencrypted private key (PEM)") from error
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
        return key
    raise _unusable(path, "is neither a P-256 nor an Ed25519 key")


def load_tls_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Read a P-256 key; otherwise as `load_private_key`.

    Raises:
        KitError: As there, or it is an Ed25519 key.
        StorageError: It cannot be read.
    """
    key = load_private_key(path)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise _unusable(path, "is no P-256 key")
    return key


def load_release_key(path: Path) -> ed25519.Ed25519PrivateKey:
    """Read an Ed25519 key; otherwise as `load_private_key`.

    Raises:
        KitError: As there, or it is a P-256 key.
        StorageError: It cannot be read.
    """
    key = load_private_key(path)
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise _unusable(path, "is no Ed25519 key")
    return key


def load_tls_public(pem: bytes) -> ec.EllipticCurvePublicKey:
    """Return the P-256 public key of a PEM text.

    Raises:
        KitError: It is none (KEY_FORMAT).
    """
    try:
        key = load_public_key(pem)
    except ValueError as error:
        raise KitError(f"this is no public key: {error}", reason="KEY_FORMAT") from error
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise KitError("this is no P-256 key", reason="KEY_FORMAT")
    return key


def _read_private(path: Path) -> bytes:
    with translated(path):
        try:
            return read_bounded(path, _MAX_BYTES, judge=partial(_check_private, path))
        except FileNotFoundError as error:
            raise KitError(f"{path} is missing", reason="KIT_INCOMPLETE") from error


def _check_private(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise _unusable(path, "is not a regular file")
    if not is_ours(status):
        raise KitError(
            f"the private key {path} belongs to somebody else (user id {status.st_uid})",
            hint=f"have it revoked; if only you know it after all, chown {os.geteuid()} {path}",
            reason="KEY_READABLE",
        )
    if status.st_mode & _OTHERS:
        raise KitError(
            f"others can read the private key {path} (mode {stat.S_IMODE(status.st_mode):04o})",
            hint=f"chmod 600 {path}; if others may have read it, have it revoked",
            reason="KEY_READABLE",
        )


def _unusable(path: Path, what: str) -> KitError:
    return KitError(f"{path} {what}", reason="KEY_FORMAT")
