# SPDX-License-Identifier: Apache-2.0
"""Writing start-up kits: what is there and right stays as it is, byte for byte."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from mmar_runner.errors import KitError
from mmar_runner.security.kits.files import KIT_FILES, SIGNATURE_FILE, sign_files, signed_files
from mmar_runner.security.kits.folders import own_folder
from mmar_runner.security.pki.envelope import key_id
from mmar_runner.security.pki.keys import (
    load_release_key,
    load_tls_key,
    new_release_key,
    new_tls_key,
    public_pem,
    refuse_planted,
    save_private_key,
)
from mmar_runner.storage.atomic import translated, write_bytes_atomic

if TYPE_CHECKING:
    from mmar_runner.security.identity import Identity, Role
    from mmar_runner.security.pki.envelope import PrivateKey


def make_keys(folder: Path, role: Role) -> tuple[bytes, bytes | None]:
    """Make a participant's private keys, where a run that was cut short has not.

    Args:
        folder: Its kit; made if it is not there.
        role: What it is.

    Returns:
        The public key for TLS and an administrator's for signing, else None; PEM.

    Raises:
        KitError: A key that is there cannot be used, or was put there by somebody else
            (KEY_EXISTS); or as `make_folder`.
        StorageError: The disk refuses.
    """
    make_folder(folder)
    files = KIT_FILES[role]
    tls_path = folder / files.key
    if not refuse_planted(tls_path):
        save_private_key(tls_path, new_tls_key())
    tls = public_pem(load_tls_key(tls_path).public_key())
    if files.release_key is None:
        return tls, None
    release_path = folder / files.release_key
    if not refuse_planted(release_path):
        save_private_key(release_path, new_release_key())
    return tls, public_pem(load_release_key(release_path).public_key())


def make_folder(folder: Path) -> None:
    """Make a folder that only its owner can look into; one that is there stays as it is.

    Raises:
        KitError: As `own_folder`.
        StorageError: It cannot be made.
    """
    own_folder(folder, tighten=False)


def write_kit(
    folder: Path,
    identity: Identity,
    *,
    signed: Mapping[str, bytes],
    others: Mapping[str, bytes],
    once: Mapping[str, bytes],
    root_key: PrivateKey,
    root_pem: bytes,
) -> bool:
    """Write the public files of a kit; return True if anything changed.

    Args:
        folder: The kit.
        identity: Whose it is.
        signed: Files that the authority vouches for.
        others: Files that stand outside its signature.
        once: Files that are written only where there are none.
        root_key: The authority's private key.
        root_pem: The authority's certificate.

    Raises:
        KitError: As `make_folder`.
        StorageError: The disk refuses.
    """
    make_folder(folder)
    changed = [_write_changed(folder / name, data) for name, data in {**signed, **others}.items()]
    changed += [
        _write_changed(folder / name, data)
        for name, data in once.items()
        if not os.path.lexists(folder / name)
    ]
    if not _vouched(folder, root_pem, identity):
        write_bytes_atomic(
            folder / SIGNATURE_FILE, sign_files(signed, identity, root_key), durable=True
        )
        return True
    return any(changed)


def check_own_key(folder: Path, role: Role, tls_key: str) -> None:
    """Refuse a kit whose private key is not the one that is known of its participant.

    A kit without a private key is that of a participant who keeps it elsewhere.

    Raises:
        KitError: Another key stands there (KEY_CHANGED), or it cannot be used.
        StorageError: It cannot be read.
    """
    path = folder / KIT_FILES[role].key
    if not path.exists():
        return
    own = load_tls_key(path).public_key()
    if public_pem(own).decode() != tls_key:
        raise KitError(
            f"{path} is not the key that was certified; its id is {key_id(own)}",
            hint="put the old key back, or have the participant revoked and give it a new name",
            reason="KEY_CHANGED",
        )


def _write_changed(path: Path, data: bytes) -> bool:
    with translated(path):
        # A link is replaced by a file, and at a pipe nobody waits.
        if path.is_file() and not path.is_symlink() and path.read_bytes() == data:
            return False
    write_bytes_atomic(path, data, durable=True)
    return True


def _vouched(folder: Path, root_pem: bytes, identity: Identity) -> bool:
    path = folder / SIGNATURE_FILE
    if path.is_symlink() or not path.is_file():
        return False
    try:
        signed_files(folder, root_pem, identity)
    except KitError:
        return False
    return True
