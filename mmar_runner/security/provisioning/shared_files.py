# SPDX-License-Identifier: Apache-2.0
"""What every kit of a project holds alike: root, authorization, and whose signatures count."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mmar_runner.security.kits.files import read_kit_file
from mmar_runner.security.pki import trust_root
from mmar_runner.security.pki.certificates import certificate_fingerprint
from mmar_runner.security.pki.envelope import key_id, load_public_key
from mmar_runner.security.policy.authorization_file import checked_authorization
from mmar_runner.security.policy.document import read_policy_document
from mmar_runner.security.provisioning import kit_contents
from mmar_runner.security.provisioning.authority_folder import AUTHORIZATION_FILE, ROOT_FILE
from mmar_runner.storage.atomic import write_bytes_atomic

if TYPE_CHECKING:
    from mmar_runner.security.provisioning.authority import Authority
    from mmar_runner.security.provisioning.project_file import Project


def shared_files(project: Project, authority: Authority) -> dict[str, bytes]:
    """Return the files that are the same in every kit and that the authority signs, by name.

    Args:
        project: The project.
        authority: Its authority, open.

    Raises:
        KitError: The authorization that was given is missing.
        StorageError: It cannot be read.
    """
    return {
        ROOT_FILE: authority.root_pem,
        AUTHORIZATION_FILE: _authorization(project, authority),
        trust_root.TRUST_FILE: _trust(project, authority),
    }


def give_authorization(authority: Authority, path: Path) -> None:
    """Take over an ``authorization.json`` for every kit, once it was checked.

    Args:
        authority: The project's authority, open.
        path: The file.

    Raises:
        UsageError: Something in it is wrong.
        StorageError: The disk refuses.
    """
    document = read_policy_document(path)
    checked_authorization(document)
    data = document.source.text.encode()  # what was checked, whatever the file holds by now
    write_bytes_atomic(authority.folder / AUTHORIZATION_FILE, data, durable=True)
    authority.remember(replace(authority.state, authorization_given=True))


def _authorization(project: Project, authority: Authority) -> bytes:
    if authority.state.authorization_given:
        return read_kit_file(authority.folder / AUTHORIZATION_FILE)
    return kit_contents.authorization(project)


def _trust(project: Project, authority: Authority) -> bytes:
    keys = []
    for admin in project.admins:
        known = authority.state.known.get(admin.name)
        if known is not None and known.release_key is not None:
            pem = known.release_key
            identifier = key_id(load_public_key(pem.encode()))
            keys.append(trust_root.ReleaseKey(identifier, pem, admin.name, admin.org))
    root = certificate_fingerprint(authority.root_pem)
    return trust_root.dump(trust_root.TrustRoot(project.name, root, tuple(keys)))
