# SPDX-License-Identifier: Apache-2.0
"""Who belongs to a project by which key: enrolling, accepting requests, renewing.

Keys and certificates that exist are made anew only for who asks for it by name.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from mmar_runner.documents.words import did_you_mean
from mmar_runner.errors import KitError, UsageError
from mmar_runner.security.kits.files import REQUEST_FILE
from mmar_runner.security.packages.names import name_key
from mmar_runner.security.provisioning.kit_writing import make_keys
from mmar_runner.security.provisioning.rekeying import (
    exchange_pending,
    make_waiting_keys,
    require_unused,
)
from mmar_runner.security.provisioning.state import Known

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mmar_runner.security.provisioning.authority import Authority
    from mmar_runner.security.provisioning.project_file import Participant, Project

DEFAULT_LIFE: Final = timedelta(days=365)

#: What happened to a participant: its kit was made, renewed, got new keys, was changed,
#: left as it was; its request is awaited; its kit was taken away; it was revoked; the
#: project file no longer names it.
Change = Literal[
    "made", "renewed", "rekeyed", "changed", "unchanged", "awaited", "away", "revoked", "left"
]


class Enrolment:
    """Gives certificates to the participants of one project.

    Args:
        project: The project.
        authority: Its authority, open.
        out: The folder of the kits.
        life: For how long new certificates hold.

    Attributes:
        changes: What happened to whom so far.
    """

    def __init__(self, project: Project, authority: Authority, out: Path, life: timedelta) -> None:
        self._project = project
        self._authority = authority
        self._out = out
        self._life = life
        self.changes: dict[str, Change] = {}

    def enrol(self) -> None:
        """Give keys and a certificate to everybody who has none and does not make its own.

        Raises:
            KitError: A name belongs to somebody else (NAME_TAKEN), or a key of a run that
                was cut short cannot be used.
            StorageError: The disk refuses.
        """
        known = self._authority.state.known
        for participant in self._project.participants:  # nobody is enrolled unless all can be
            _require_name(participant, known)
        for participant in self._project.participants:
            if participant.name in known:
                continue
            folder = self._out / participant.name
            if not participant.own_keys and not (folder / REQUEST_FILE).exists():
                tls, release = make_keys(folder, participant.identity.role)
                require_unused(self._authority, tls, release)
                self._certify(_known(participant, tls, release, requested=False))

    def accept(self, participant: Participant, tls_key: bytes, release_key: bytes | None) -> None:
        """Certify the keys that a participant made itself.

        Args:
            participant: Who it is.
            tls_key: Its public key for TLS, PEM.
            release_key: An administrator's public key for signing, PEM.

        Raises:
            KitError: It is known by another key that was not revoked (KEY_CHANGED), the
                key was revoked (REVOKED), somebody had it before, or it is the root's
                (KEY_REUSED), or the
                name belongs to somebody else (NAME_TAKEN).
            StorageError: The disk refuses.
        """
        _require_name(participant, self._authority.state.known)
        known = self._authority.state.known.get(participant.name)
        new = _known(participant, tls_key, release_key, requested=True)
        if known is None:
            require_unused(self._authority, tls_key, release_key)
            self._certify(new)
            return
        if (known.tls_key, known.release_key) == (new.tls_key, new.release_key):
            _require_valid(known)
            return
        _require_revoked(known)
        require_unused(self._authority, tls_key, release_key)
        self._exchange(new)

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
        everybody = (name for name, entry in known.items() if not entry.revoked)
        for name in dict.fromkeys(names or everybody):  # who is named twice is one
            self._authority.certify(known[name], self._life, self._hosts(known[name]))
            self.changes[name] = "renewed"

    def rekey(self, names: tuple[str, ...]) -> None:
        """Give participants new keys; what they had is revoked.

        An exchange that was cut short is completed; no other key is made.

        Args:
            names: Whose.

        Raises:
            UsageError: Somebody is not in the project, has no certificate yet, or makes
                its own keys.
            KitError: A name belongs to another role.
            StorageError: The disk refuses.
        """
        chosen = [self._rekeyable(name) for name in names]  # nothing changes unless all can
        for known in chosen:
            folder = self._out / known.name
            if exchange_pending(folder, known):
                self.changes[known.name] = "rekeyed"
                continue
            tls, release = make_waiting_keys(folder, known.role)
            signing = release.decode() if release else None
            self._exchange(replace(known, tls_key=tls.decode(), release_key=signing))

    def _rekeyable(self, name: str) -> Known:
        known = self._authority.state.known
        participant = next((p for p in self._project.participants if p.name == name), None)
        if participant is None or name not in known:
            raise unknown_participant(name, known)
        _require_name(participant, known)
        if known[name].requested or participant.own_keys:
            raise UsageError(
                f"{name} makes its own keys",
                hint=f"`provision revoke` {name}; it makes a request with `provision request "
                "--new-key`, and `provision sign` accepts that",
            )
        return known[name]

    def _certify(self, known: Known) -> None:
        self._authority.certify(known, self._life, self._hosts(known))
        self.changes[known.name] = "made"

    def _exchange(self, known: Known) -> None:
        self._authority.exchange(known, self._life, self._hosts(known))
        self.changes[known.name] = "rekeyed"

    def _hosts(self, known: Known) -> tuple[str, ...]:
        return self._project.host_names(known.name)


def unknown_participant(name: str, known: Iterable[str]) -> UsageError:
    """Return the error that says that nobody of that name has a certificate."""
    names = sorted(known)
    hint = did_you_mean(name, names) or f"There are: {', '.join(names) or 'none'}."
    return UsageError(f"no certificate was issued to {name!r}", hint=hint, reason="NOT_FOUND")


def _known(
    participant: Participant, tls: bytes, release: bytes | None, *, requested: bool
) -> Known:
    return Known(
        role=participant.identity.role,
        name=participant.name,
        requested=requested,
        tls_key=tls.decode(),
        release_key=release.decode() if release else None,
    )


def _require_valid(known: Known) -> None:
    if known.revoked:
        raise KitError(
            f"{known.name} was revoked, and so was its key",
            hint="`provision renew NAME --new-key` makes a new one; who makes its own keys "
            "sends a new request (`provision request --new-key`)",
            reason="REVOKED",
        )


def _require_revoked(known: Known) -> None:
    if not known.revoked:
        raise KitError(
            f"{known.name} is known by another key already",
            hint="`provision revoke` it first, then sign the new request",
            reason="KEY_CHANGED",
        )


def _require_name(participant: Participant, known: Mapping[str, Known]) -> None:
    """Refuse a name that somebody else has, or had, whom a person or a disk could take for it."""
    name = participant.name
    if name not in known:
        other = next((n for n in known if name_key(n) == name_key(name)), None)
        if other is not None:
            raise KitError(
                f"{name} differs from {other}, who is known already, in case or form only",
                hint="write the name as it was, or give the new participant another",
                reason="NAME_TAKEN",
            )
    elif participant.identity.role is not known[name].role:
        raise KitError(
            f"{name} is a {known[name].role} already, and cannot become a "
            f"{participant.identity.role}",
            hint="give the new participant another name",
            reason="NAME_TAKEN",
        )
