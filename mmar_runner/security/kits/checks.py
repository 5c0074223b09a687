# SPDX-License-Identifier: Apache-2.0
"""What is checked of a start-up kit's folder: that all is there, and which keys are."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from mmar_runner.errors import KitError
from mmar_runner.security.kits.files import KIT_FILES, private_key_files, read_kit_file
from mmar_runner.security.kits.folders import refuse_changeable
from mmar_runner.security.kits.mends import mend
from mmar_runner.security.kits.wrong_folder import incomplete, no_folder
from mmar_runner.security.pki.certificates import certificate_key
from mmar_runner.security.pki.envelope import key_id
from mmar_runner.security.pki.keys import load_private_key, load_release_key, load_tls_key
from mmar_runner.storage.atomic import translated

if TYPE_CHECKING:
    from pathlib import Path

    from mmar_runner.security.identity import Role


def check_complete(folder: Path, role: Role) -> None:
    """Refuse a folder that lacks a file of a kit.

    Raises:
        KitError: KIT_INCOMPLETE, or KIT_ROLE if it is somebody else's kit.
    """
    if not folder.is_dir():
        raise no_folder(folder, role)
    missing = [name for name in KIT_FILES[role].required if not (folder / name).is_file()]
    if missing:
        raise incomplete(folder, role, missing)


def check_owned(folder: Path, role: Role) -> None:
    """Refuse a kit that somebody besides this user and root can change.

    The policy in it is unsigned, and so nothing but the file itself counts: where a link
    leads, others may change. Private keys are `check_keys`' to judge: nobody else may even
    read those.

    Raises:
        KitError: KIT_WRITABLE, or KIT_LINK for a policy that is a link.
        StorageError: A file cannot be looked at.
    """
    files = KIT_FILES[role]
    public = [name for name in files.required if name not in (files.key, files.release_key)]
    for path in (folder, *(folder / name for name in public)):
        with translated(path):
            refuse_changeable(path, path.stat())
    if files.policy:
        _check_policy(folder / files.policy)


def _check_policy(path: Path) -> None:
    with translated(path):
        try:
            status = path.lstat()
        except FileNotFoundError:
            return
    if stat.S_ISLNK(status.st_mode):
        raise KitError(
            f"{path} is a link, where the site's own policy has to be",
            hint="put the file itself there",
            reason="KIT_LINK",
        )
    refuse_changeable(path, status)


def check_keys(folder: Path, role: Role, root_pem: bytes) -> None:
    """Refuse keys that are not this participant's own.

    Args:
        folder: The kit.
        role: Whose it is.
        root_pem: The authority's certificate.

    Raises:
        KitError: KEY_READABLE, KEY_FORMAT, KIT_AUTHORITY_KEY or KIT_KEY_MISMATCH.
        StorageError: A key cannot be read.
    """
    files = KIT_FILES[role]
    own = key_id(load_tls_key(folder / files.key).public_key())
    if files.release_key:
        load_release_key(folder / files.release_key)
    authority = key_id(certificate_key(root_pem))
    for path in private_key_files(folder):
        if _id_of(path) == authority:
            raise KitError(
                f"{path} is the private key of the project's authority",
                hint="remove it at once: only the authority's own machine may have it",
                reason="KIT_AUTHORITY_KEY",
            )
    if own != key_id(certificate_key(read_kit_file(folder / files.certificate))):
        raise KitError(
            f"{folder / files.key} is not the key of the certificate {files.certificate}",
            hint=f"put the key back that {files.certificate} was made for, or "
            + mend(folder / files.certificate),
            reason="KIT_KEY_MISMATCH",
        )


def _id_of(path: Path) -> str | None:
    """Return a private key's id; None if it is of a kind that no authority of ours has."""
    try:
        return key_id(load_private_key(path).public_key())
    except KitError as error:
        if error.reason == "KEY_FORMAT":
            return None
        raise
