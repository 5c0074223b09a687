# SPDX-License-Identifier: Apache-2.0
"""Provisioning: a start-up kit for everybody who takes part, again and again.

Every run brings the folder to what the project file says. Keys and certificates that
exist are never made anew, a site's own policy is never touched, and what a run that was
cut short left undone is done by the next.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from mmar_runner.documents.words import did_you_mean
from mmar_runner.errors import KitError, UsageError
from mmar_runner.security import kit_contents, trust_root
from mmar_runner.security.authority_state import Known
from mmar_runner.security.authorization_file import load_authorization
from mmar_runner.security.certificates import certificate_fingerprint
from mmar_runner.security.envelope import key_id, load_public_key
from mmar_runner.security.kit_files import KIT_FILES, README_FILE, REQUEST_FILE, read_kit_file
from mmar_runner.security.kit_writing import check_own_key, make_keys, write_kit
from mmar_runner.security.revocation import REVOCATIONS_FILE
from mmar_runner.storage.atomic import write_bytes_atomic

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mmar_runner.security.authority import Authority
    from mmar_runner.security.identity import Role
    from mmar_runner.security.project_file import Participant, Project

DEFAULT_LIFE: Final = timedelta(days=365)
_AUTHORIZATION: Final = "authorization.json"

#: What happened to a participant: its kit was made, renewed, changed, left as it was;
#: its request is awaited; its kit was taken away; it was revoked.
Change = Literal["made", "renewed", "changed", "unchanged", "awaited", "away", "revoked"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one participant.

    Attributes:
        name: Its name.
        role: What it is.
        org: Its organisation; empty if the project file no longer names it.
        change: What happened.
        folder: Its kit.
        not_after: Until when its certificate holds: ISO 8601; None if it has none.
        fingerprint: sha256 of that certificate (DER), hex; None likewise.
    """

    name: str
    role: Role
    org: str
    change: Change
    folder: Path
    not_after: str | None
    fingerprint: str | None


class Provisioner:
    """Writes the kits of one project.

    Args:
        project: The project.
        authority: Its authority, open.
        out: The folder of the kits.
        life: For how long new certificates hold.
    """

    def __init__(
        self, project: Project, authority: Authority, out: Path, life: timedelta = DEFAULT_LIFE
    ) -> None:
        self._project = project
        self._authority = authority
        self._out = out
        self._life = life
        self._changes: dict[str, Change] = {}

    def give_authorization(self, path: Path) -> None:
        """Take over an ``authorization.json`` for every kit, once it was checked.

        Raises:
            UsageError: Something in it is wrong.
            StorageError: The disk refuses.
        """
        load_authorization(path)
        data = read_kit_file(path)
        write_bytes_atomic(self._authority.folder / _AUTHORIZATION, data, durable=True)
        self._authority.remember(replace(self._authority.state, authorization_given=True))

    def enrol(self) -> None:
        """Give keys and a certificate to everybody who has none and does not make its own.

        Raises:
            KitError: A key of a run that was cut short cannot be used.
            StorageError: The disk refuses.
        """
        for participant in self._project.participants:
            known = self._authority.state.known.get(participant.name)
            if known is not None:
                self._require_role(participant, known)
                continue
            folder = self._out / participant.name
            if not participant.own_keys and not (folder / REQUEST_FILE).exists():
                tls, release = make_keys(folder, participant.identity.role)
                self._certify(participant, tls, release, requested=False)

    def accept(self, participant: Participant, tls_key: bytes, release_key: bytes | None) -> None:
        """Certify the keys that a participant made itself.

        Args:
            participant: Who it is.
            tls_key: Its public key for TLS, PEM.
            release_key: An administrator's public key for signing, PEM.

        Raises:
            KitError: It is known by another key (KEY_CHANGED), or revoked.
            StorageError: The disk refuses.
        """
        known = self._authority.state.known.get(participant.name)
        if known is None:
            self._certify(participant, tls_key, release_key, requested=True)
            return
        self._require_role(participant, known)
        _require_valid(known)
        told = (tls_key.decode(), release_key.decode() if release_key else None)
        if (known.tls_key, known.release_key) != told:
            raise KitError(
                f"{participant.name} is known by another key already",
                hint="nobody's key is changed; have the old one revoked and choose a new name",
                reason="KEY_CHANGED",
            )

    def renew(self, names: tuple[str, ...]) -> None:
        """Issue new certificates for the same keys.

        Args:
            names: Whose; nobody named means everybody who is not revoked.

        Raises:
            KitError: Somebody was revoked (REVOKED).
            UsageError: Somebody is not in the project, or has no certificate yet.
            StorageError: The disk refuses.
        """
        state = self._authority.state
        present = {participant.name for participant in self._project.participants}
        known = {name: entry for name, entry in state.known.items() if name in present}
        for name in names:
            if name not in known:
                raise unknown_participant(name, known)
            _require_valid(known[name])
        chosen = names or tuple(name for name, entry in known.items() if not entry.revoked)
        for name in chosen:
            self._authority.certify(known[name], self._life, self._hosts(known[name]))
            self._changes[name] = "renewed"

    def write(self, *, also: tuple[str, ...] = ()) -> tuple[Outcome, ...]:
        """Bring every kit to what the project and the authority say.

        Args:
            also: Participants whose kits are written even if their folder is not there.

        Raises:
            KitError: Another private key stands in a kit (KEY_CHANGED).
            StorageError: The disk refuses.
        """
        shared = {
            "rootCA.pem": self._authority.root_pem,
            _AUTHORIZATION: self._authorization(),
            trust_root.TRUST_FILE: self._trust(),
        }
        revocations = self._authority.revocations()
        present = [self._written(p, shared, revocations, also) for p in self._project.participants]
        return (*present, *self._former(revocations))

    def notes(self) -> tuple[str, ...]:
        """Return what a person should know, in sentences."""
        if not self._authority.state.authorization_given:
            return self._project.notes
        path = self._authority.folder / _AUTHORIZATION
        given = load_authorization(path)
        sites = {"server", *(client.name for client in self._project.clients)}
        users = {admin.name for admin in self._project.admins}
        missing = sorted(sites - set(given.sites)) + sorted(users - set(given.users))
        notes = [f"the given authorization.json does not name {name}" for name in missing]
        return (*self._project.notes, *notes)

    def _certify(
        self, participant: Participant, tls: bytes, release: bytes | None, *, requested: bool
    ) -> None:
        known = Known(
            role=participant.identity.role,
            name=participant.name,
            requested=requested,
            tls_key=tls.decode(),
            release_key=release.decode() if release else None,
        )
        self._authority.certify(known, self._life, self._hosts(known))
        self._changes[participant.name] = "made"

    def _hosts(self, known: Known) -> tuple[str, ...]:
        own = known.name == self._project.server.name
        return self._project.settings.host_names if own else ()

    def _require_role(self, participant: Participant, known: Known) -> None:
        if participant.identity.role is not known.role:
            raise KitError(
                f"{participant.name} is a {known.role} already, and cannot become a "
                f"{participant.identity.role}",
                hint="give the new participant another name",
                reason="NAME_TAKEN",
            )

    def _authorization(self) -> bytes:
        if self._authority.state.authorization_given:
            return read_kit_file(self._authority.folder / _AUTHORIZATION)
        return kit_contents.authorization(self._project)

    def _trust(self) -> bytes:
        keys = []
        for admin in self._project.admins:
            known = self._authority.state.known.get(admin.name)
            if known is not None and known.release_key is not None:
                pem = known.release_key
                identifier = key_id(load_public_key(pem.encode()))
                keys.append(trust_root.ReleaseKey(identifier, pem, admin.name, admin.org))
        root = certificate_fingerprint(self._authority.root_pem)
        return trust_root.dump(trust_root.TrustRoot(self._project.name, root, tuple(keys)))

    def _written(
        self,
        participant: Participant,
        shared: dict[str, bytes],
        revocations: bytes,
        also: tuple[str, ...],
    ) -> Outcome:
        known = self._authority.state.known.get(participant.name)
        folder = self._out / participant.name
        if known is None:
            return self._outcome(participant, None, "awaited")
        if not folder.is_dir() and participant.name not in also:
            return self._outcome(participant, known, "revoked" if known.revoked else "away")
        changed = self._write_one(participant, known, shared, revocations)
        change = self._changes.get(participant.name, "changed" if changed else "unchanged")
        return self._outcome(participant, known, "revoked" if known.revoked else change)

    def _write_one(
        self, participant: Participant, known: Known, shared: dict[str, bytes], revocations: bytes
    ) -> bool:
        folder, files = self._out / participant.name, KIT_FILES[known.role]
        check_own_key(folder, known.role, known.tls_key)
        signed = dict(shared)
        config = kit_contents.config(self._project, participant)
        if files.config and config is not None:
            signed[files.config] = config
        if files.release_public and known.release_key is not None:
            signed[files.release_public] = known.release_key.encode()
        return write_kit(
            folder,
            participant.identity,
            signed=signed,
            others={
                files.certificate: known.newest.pem.encode(),
                REVOCATIONS_FILE: revocations,
                README_FILE: kit_contents.readme(self._project, participant),
            },
            once=self._policy(folder, known),
            root_key=self._authority.key,
            root_pem=self._authority.root_pem,
        )

    def _policy(self, folder: Path, known: Known) -> dict[str, bytes]:
        """Return the policy a site begins with; none for a kit that is laid over another.

        There the site has a policy already, and files without a key must not replace it.
        """
        files = KIT_FILES[known.role]
        whole = not known.requested and (folder / files.key).exists()
        return {files.policy: kit_contents.site_policy()} if files.policy and whole else {}

    def _former(self, revocations: bytes) -> list[Outcome]:
        """Hand the list of revocations to those whom the project no longer names."""
        current = {participant.name for participant in self._project.participants}
        outcomes = []
        for name, known in sorted(self._authority.state.known.items()):
            folder = self._out / name
            if name in current or not folder.is_dir():
                continue
            write_bytes_atomic(folder / REVOCATIONS_FILE, revocations, durable=True)
            change: Change = "revoked" if known.revoked else "unchanged"
            outcomes.append(_described(known, "", change, folder))
        return outcomes

    def _outcome(self, participant: Participant, known: Known | None, change: Change) -> Outcome:
        folder = self._out / participant.name
        if known is not None:
            return _described(known, participant.org, change, folder)
        role = participant.identity.role
        return Outcome(participant.name, role, participant.org, change, folder, None, None)


def unknown_participant(name: str, known: Iterable[str]) -> UsageError:
    """Return the error that says that nobody of that name has a certificate."""
    names = sorted(known)
    hint = did_you_mean(name, names) or f"There are: {', '.join(names) or 'none'}."
    return UsageError(f"no certificate was issued to {name!r}", hint=hint, reason="NOT_FOUND")


def _described(known: Known, org: str, change: Change, folder: Path) -> Outcome:
    newest = known.newest
    fingerprint = certificate_fingerprint(newest.pem.encode())
    return Outcome(known.name, known.role, org, change, folder, newest.not_after, fingerprint)


def _require_valid(known: Known) -> None:
    if known.revoked:
        raise KitError(
            f"{known.name} was revoked",
            hint="a revoked participant stays revoked; enter it under a new name",
            reason="REVOKED",
        )
