# SPDX-License-Identifier: Apache-2.0
"""Whether what an authority remembers holds, and what signed lists know better.

``state.json`` may come from a backup, and then forgets what was revoked since. The signed
lists, the authority's own and those in the kits, do not: nothing they name comes back.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mmar_runner.errors import CertificateError, KitError, SignatureError
from mmar_runner.security.pki.certificates import certificate_key, read_peer_certificate
from mmar_runner.security.pki.envelope import key_id, load_public_key
from mmar_runner.security.pki.keys import public_pem
from mmar_runner.security.pki.revocation import (
    MAX_LIST_BYTES,
    REVOCATIONS_FILE,
    read_revocations,
)
from mmar_runner.security.provisioning.state import Revoked, merged
from mmar_runner.storage.atomic import translated
from mmar_runner.storage.bounded import read_bounded

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from mmar_runner.security.provisioning.state import AuthorityState, Issued, Known


def recovered(state: AuthorityState, lists: Iterable[Revoked]) -> AuthorityState:
    """Return a state with everything that signed lists revoke, under no lower a version.

    Args:
        state: What the authority remembers.
        lists: What signed lists say.

    Raises:
        KitError: The state contradicts itself (AUTHORITY_DAMAGED).
    """
    for known in state.known.values():
        _check_known(known, state.project)
    known_lists = (state.revoked, *lists)
    newest = max(known_lists, key=lambda revoked: revoked.version)
    union = merged(newest, newest)
    for revoked in known_lists:
        union = merged(union, revoked)
    entries = {name: _judged(entry, union) for name, entry in state.known.items()}
    for name, entry in entries.items():
        if entry.revoked and not state.known[name].revoked:
            union = merged(union, everything_of(entry))
    if union != newest:  # no two lists of one version may say different things
        union = replace(union, version=newest.version + 1)
    return replace(state, known=entries, revoked=union)


def everything_of(known: Known) -> Revoked:
    """Return what has to be revoked so that nothing of a participant counts any more."""
    keys: tuple[str, ...] = ()
    if known.release_key is not None:
        keys = (key_id(load_public_key(known.release_key.encode())),)
    return Revoked(0, tuple(issued.serial for issued in known.certificates), keys)


def signed_lists(out: Path, folder: Path, project: str, root_pem: bytes) -> list[Revoked]:
    """Return what the signed lists of a project say, the authority's and the kits'.

    A list that is not the root's, or is another project's, says nothing.

    Args:
        out: The folder of the kits.
        folder: ``authority/``.
        project: The project's name.
        root_pem: The root's certificate.

    Raises:
        StorageError: A folder or a list cannot be read.
    """
    with translated(out):
        folders = {folder, *out.iterdir()}
    texts = {_text(each / REVOCATIONS_FILE) for each in folders}
    found = []
    for data in filter(None, texts):
        try:
            signed = read_revocations(data, root_pem)
        except SignatureError:
            continue
        if signed.project == project:
            found.append(Revoked(signed.version, signed.serials, signed.key_ids, signed.digests))
    return found


def _text(path: Path) -> bytes:
    """Return a file's content; nothing of what is missing, or is not a regular file."""
    with translated(path):
        return read_bounded(path, MAX_LIST_BYTES) if path.is_file() else b""


def _judged(known: Known, revoked: Revoked) -> Known:
    """Return a participant as revoked if a certificate of the key that it has now is."""
    serials = {
        issued.serial
        for issued in known.certificates
        if issued is known.newest or _key(issued) == known.tls_key
    }
    return replace(known, revoked=known.revoked or not serials.isdisjoint(revoked.serials))


def _check_known(known: Known, project: str) -> None:
    if not known.certificates:
        raise _contradiction(known.name, "has no certificate")
    try:
        for issued in known.certificates:
            found = read_peer_certificate(issued.pem.encode())
            if found.serial != issued.serial:
                raise _contradiction(
                    known.name,
                    f"was given the serial number {issued.serial}, and the certificate kept "
                    f"of it has {found.serial}",
                )
            if found.identity != known.identity(project):
                raise _contradiction(known.name, f"has a certificate of {found.identity.uri}")
        if _key(known.newest) != known.tls_key:
            raise _contradiction(known.name, "has a certificate for another key")
        if known.release_key is not None:
            load_public_key(known.release_key.encode())
    except (CertificateError, ValueError) as error:
        raise _contradiction(known.name, str(error)) from error


def _key(issued: Issued) -> str:
    return public_pem(certificate_key(issued.pem.encode())).decode()


def _contradiction(name: str, what: str) -> KitError:
    return KitError(
        f"what the authority remembers of {name} contradicts itself: {what}",
        hint="take authority/state.json from your backup",
        reason="AUTHORITY_DAMAGED",
    )
