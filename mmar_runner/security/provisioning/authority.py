# SPDX-License-Identifier: Apache-2.0
"""A project's authority: the folder ``authority/`` beside the kits, with the root's key.

One process at a time works with it; others wait. What it issues or revokes is on the disk
before anybody can see it, so that a run that was cut short is completed by the next.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mmar_runner.errors import CertificateError, KitError, UsageError
from mmar_runner.security.pki.certificates import (
    certificate_key,
    check_issuer,
    read_peer_certificate,
)
from mmar_runner.security.pki.envelope import key_id
from mmar_runner.security.pki.issuing import CLOCK_MARGIN, Issuer, issue, make_root
from mmar_runner.security.pki.keys import (
    load_tls_key,
    load_tls_public,
    new_tls_key,
    refuse_planted,
    save_private_key,
)
from mmar_runner.security.provisioning.authority_folder import (
    AUTHORITY_FOLDER,
    KEY_FILE,
    ROOT_FILE,
    STATE_FILE,
    held_folder,
)
from mmar_runner.security.provisioning.recovery import everything_of, recovered, signed_lists
from mmar_runner.security.provisioning.state import (
    MAX_STATE_BYTES,
    AuthorityState,
    Issued,
    Known,
    Revoked,
    time_text,
)
from mmar_runner.storage.atomic import translated, write_bytes_atomic
from mmar_runner.storage.bounded import read_bounded

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

ROOT_LIFE: Final = timedelta(days=3650)
_MAX_ROOT_BYTES: Final = 64 * 1024


class Authority:
    """Issues and revokes. Use `open_authority`, which holds the lock.

    Args:
        folder: ``authority/``.
        project: The project's name.
        now: The present time, with a time zone.

    Attributes:
        folder: As above.
        now: As above.
        root_pem: The root's certificate.
        key: The root's private key.
        state: What the authority remembers; see `remember`.

    Raises:
        KitError: The authority is another project's, somebody else's, incomplete, damaged
            or too open.
        CertificateError: The root's time is over.
        StorageError: The disk refuses.
    """

    def __init__(self, folder: Path, project: str, now: datetime) -> None:
        self.folder = folder
        self.now = now
        self.state = self._load_state(project)
        self.key, self.root_pem = self._load_root(project)
        self._recover()

    def remember(self, state: AuthorityState) -> None:
        """Keep a state; it is on the disk when this returns.

        Raises:
            StorageError: The disk refuses; the old state holds.
        """
        if state != self.state:
            write_bytes_atomic(self.folder / STATE_FILE, state.to_json(), durable=True)
            self.state = state

    def certify(self, known: Known, life: timedelta, hosts: tuple[str, ...] = ()) -> Known:
        """Issue a certificate for a participant's key, remember it, and return both.

        Args:
            known: The participant.
            life: For how long the certificate holds.
            hosts: A server's host names and addresses.
        """
        certified = known.with_certificate(self._issued(known, life, hosts))
        self.remember(self.state.with_known(certified))
        return certified

    def exchange(self, known: Known, life: timedelta, hosts: tuple[str, ...] = ()) -> Known:
        """Give a participant other keys; with the same write nothing it had counts any more.

        Args:
            known: The participant with its new keys.
            life: For how long the certificate holds.
            hosts: A server's host names and addresses.
        """
        old = self.state.known[known.name]
        new = replace(known, certificates=old.certificates, revoked=False)
        certified = new.with_certificate(self._issued(new, life, hosts))
        self.remember(self.state.with_revoked(everything_of(old)).with_known(certified))
        return certified

    def revoke(self, revoked: Revoked, names: tuple[str, ...] = ()) -> bool:
        """Add to what is revoked; return False if all of it was before.

        Args:
            revoked: What to add; its version does not matter.
            names: Participants of whom nothing counts any more.
        """
        known = {
            name: replace(known, revoked=known.revoked or name in names)
            for name, known in self.state.known.items()
        }
        new = replace(self.state.with_revoked(revoked), known=known)
        changed = new != self.state
        self.remember(new)
        return changed

    def _issued(self, known: Known, life: timedelta, hosts: tuple[str, ...]) -> Issued:
        period = (self.now - CLOCK_MARGIN, self.now + life)
        key = load_tls_public(known.tls_key.encode())
        issuer = Issuer(self.key, self.root_pem)
        pem = issue(issuer, known.identity(self.state.project), key, period, hosts)
        certificate = read_peer_certificate(pem)
        return Issued(certificate.serial, time_text(certificate.not_after), pem.decode())

    def _load_state(self, project: str) -> AuthorityState:
        path = self.folder / STATE_FILE
        if not path.exists():
            return self._first_state(project)
        with translated(path):
            state = AuthorityState.from_json(read_bounded(path, MAX_STATE_BYTES))
        if state.project != project:
            raise KitError(
                f"{self.folder} is the authority of the project {state.project!r}, not of "
                f"{project!r}",
                hint="give every project an --out of its own",
                reason="PROJECT_MISMATCH",
            )
        return state

    def _first_state(self, project: str) -> AuthorityState:
        """Begin a memory, before there is a root: a root without one came from elsewhere."""
        path = self.folder / STATE_FILE
        if (self.folder / ROOT_FILE).exists():
            raise KitError(
                f"{path} is missing, and there is a root already: whom it certified is unknown",
                hint="take the folder authority/ from your backup; if you never made that root, "
                "find out who put it there, and take it away",
                reason="AUTHORITY_DAMAGED",
            )
        state = AuthorityState(project)
        write_bytes_atomic(path, state.to_json(), durable=True)
        return state

    def _recover(self) -> None:
        """Take what the signed lists know better, before anything is decided."""
        lists = signed_lists(self.folder.parent, self.folder, self.state.project, self.root_pem)
        state = recovered(self.state, lists)
        if state != self.state:
            self.remember(state)

    def _load_root(self, project: str) -> tuple[EllipticCurvePrivateKey, bytes]:
        key_path, root_path = self.folder / KEY_FILE, self.folder / ROOT_FILE
        if not refuse_planted(key_path):
            if root_path.exists() or self.state.known:
                raise _incomplete(key_path)
            save_private_key(key_path, new_tls_key())
        key = load_tls_key(key_path)
        if not root_path.exists():
            if self.state.known:
                raise _incomplete(root_path)
            root = make_root(key, project, self.now, ROOT_LIFE)
            write_bytes_atomic(root_path, root, durable=True)
        with translated(root_path):
            root_pem = read_bounded(root_path, _MAX_ROOT_BYTES)
        check_issuer(root_pem, root_pem, self.now)
        if key_id(certificate_key(root_pem)) != key_id(key.public_key()):
            raise CertificateError(
                f"{key_path} is not the key of {root_path}", reason="CERT_AUTHORITY"
            )
        return key, root_pem


@contextmanager
def open_authority(out: Path, project: str, now: datetime, *, begin: bool) -> Iterator[Authority]:
    """Open a project's authority, and keep others out meanwhile.

    Args:
        out: The folder of the kits.
        project: The project's name.
        now: The present time, with a time zone.
        begin: True to make an authority where there is none: whoever trusts another root
            would trust nothing that it signs.

    Raises:
        UsageError: There is none (NOT_FOUND); nothing is made.
        KitError: As `Authority`, and as `held_folder`.
        CertificateError: As `Authority`.
        StorageError: The disk refuses.
    """
    folder = out / AUTHORITY_FOLDER
    if not begin:
        _require_begun(folder)
    with held_folder(folder):
        yield Authority(folder, project, now)


def _require_begun(folder: Path) -> None:
    if not any(os.path.lexists(folder / name) for name in (STATE_FILE, ROOT_FILE)):
        raise UsageError(
            f"there is no authority in {folder.parent}",
            hint="give the --out that `mmar-runner provision PROJECT.yml` had: only that makes one",
            reason="NOT_FOUND",
        )


def _incomplete(path: Path) -> KitError:
    return KitError(
        f"{path} is missing, and certificates were issued with it",
        hint="take the folder authority/ from your backup",
        reason="AUTHORITY_DAMAGED",
    )
