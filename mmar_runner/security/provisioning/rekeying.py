# SPDX-License-Identifier: Apache-2.0
"""Exchanging private keys: who lost a key comes back under the same name.

New keys wait beside the old ones until the authority has decided for them. A key that
waits and is the certified one takes the old one's place as the last step of writing a
kit; so whatever was cut short, the next run sees what is left to do.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from mmar_runner.errors import KitError
from mmar_runner.security.kits.files import KIT_FILES
from mmar_runner.security.pki.certificates import certificate_key
from mmar_runner.security.pki.envelope import key_id, load_public_key
from mmar_runner.security.pki.keys import (
    load_private_key,
    load_tls_key,
    new_release_key,
    new_tls_key,
    public_pem,
    save_private_key,
)
from mmar_runner.security.provisioning.kit_writing import make_folder
from mmar_runner.storage.atomic import sync_folder, translated

if TYPE_CHECKING:
    from collections.abc import Collection

    from mmar_runner.security.identity import Role
    from mmar_runner.security.provisioning.authority import Authority
    from mmar_runner.security.provisioning.state import Known

_WAITING: Final = ".next"


def make_waiting_keys(folder: Path, role: Role) -> tuple[bytes, bytes | None]:
    """Make new private keys beside the old; what waited there before goes.

    Args:
        folder: The kit; made if it is not there.
        role: Whose it is.

    Returns:
        The public key for TLS and an administrator's for signing, else None; PEM.

    Raises:
        KitError: Others can write into the folder.
        StorageError: The disk refuses.
    """
    make_folder(folder)
    forget_waiting_keys(folder, role)
    files = KIT_FILES[role]
    release = None
    if files.release_key is not None:
        signing = new_release_key()
        save_private_key(_waiting(folder / files.release_key), signing)
        release = public_pem(signing.public_key())
    tls = new_tls_key()
    save_private_key(_waiting(folder / files.key), tls)
    return public_pem(tls.public_key()), release


def exchange_pending(folder: Path, known: Known) -> bool:
    """Return True if a key waits that is certified already.

    Raises:
        KitError: It cannot be used.
        StorageError: It cannot be read.
    """
    path = _waiting(folder / KIT_FILES[known.role].key)
    return path.exists() and public_pem(load_tls_key(path).public_key()) == known.tls_key.encode()


def take_waiting_keys(folder: Path, role: Role) -> None:
    """Put the keys that wait in place of the old, the one for TLS last: it marks the end.

    Raises:
        StorageError: The disk refuses.
    """
    files = KIT_FILES[role]
    for name in (files.release_key, files.key):
        if name is not None and _waiting(folder / name).exists():
            with translated(folder / name):
                _waiting(folder / name).replace(folder / name)
            sync_folder(folder)


def forget_waiting_keys(folder: Path, role: Role) -> None:
    """Remove keys that wait and were never certified.

    Raises:
        StorageError: The disk refuses.
    """
    files = KIT_FILES[role]
    for name in (files.key, files.release_key):
        if name is not None:
            with translated(folder / name):
                _waiting(folder / name).unlink(missing_ok=True)


def remove_former_keys(folder: Path, known: Known, revoked: Collection[str]) -> None:
    """Remove revoked keys from the kit of who makes its own keys elsewhere now.

    Args:
        folder: The kit.
        known: Whose it is.
        revoked: Ids of release keys that were revoked.

    Raises:
        KitError: A key cannot be used.
        StorageError: The disk refuses.
    """
    former = former_keys(known) - {known.tls_key, known.release_key}
    files = KIT_FILES[known.role]
    for name in (files.key, files.release_key):
        if name is None or not (folder / name).exists():
            continue
        public = load_private_key(folder / name).public_key()
        pem = public_pem(public).decode()
        if pem in former or (key_id(public) in revoked and pem != known.release_key):
            with translated(folder / name):
                (folder / name).unlink()


def former_keys(known: Known) -> frozenset[str]:
    """Return the public keys that a participant has and had, PEM; of those that sign the last."""
    keys = {
        public_pem(certificate_key(issued.pem.encode())).decode() for issued in known.certificates
    }
    return frozenset(keys | {known.tls_key, *filter(None, [known.release_key])})


def was_rekeyed(known: Known) -> bool:
    """Return True if a participant had another key for TLS before."""
    first = certificate_key(known.certificates[0].pem.encode())
    return public_pem(first).decode() != known.tls_key


def require_unused(authority: Authority, *keys: bytes | None) -> None:
    """Refuse public keys (PEM) that anybody in the project has or had, or that is the root's.

    A key that was stolen must not come back under whatever name.

    Raises:
        KitError: KEY_REUSED.
    """
    state, root = authority.state, key_id(authority.key.public_key())
    for key in filter(None, keys):
        identifier = key_id(load_public_key(key))
        if identifier == root:
            raise KitError(
                f"the key {root[:16]} is that of the project's authority",
                hint="only the authority may have it: if anybody else does, start a new project; "
                "make keys with `mmar-runner provision request --new-key`",
                reason="KEY_REUSED",
            )
        owner = next((k.name for k in state.known.values() if key.decode() in former_keys(k)), "")
        if owner or identifier in state.revoked.key_ids:
            raise KitError(
                f"the key {identifier[:16]} is no new one: {owner or 'somebody'} had it before",
                hint="make new keys: `mmar-runner provision request --new-key`",
                reason="KEY_REUSED",
            )


def _waiting(path: Path) -> Path:
    return path.with_name(path.name + _WAITING)
