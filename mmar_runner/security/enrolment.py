# SPDX-License-Identifier: Apache-2.0
"""Who belongs to a project by which key: enrolling, accepting requests, renewing.

Keys and certificates that exist are never made anew.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from mmar_runner.documents.words import did_you_mean
from mmar_runner.errors import KitError, UsageError
from mmar_runner.security.authority_state import Known
from mmar_runner.security.kit_files import REQUEST_FILE
from mmar_runner.security.kit_writing import make_keys

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mmar_runner.security.authority import Authority
    from mmar_runner.security.project_file import Participant, Project

DEFAULT_LIFE: Final = timedelta(days=365)

#: What happened to a participant: its kit was made, renewed, changed, left as it was;
#: its request is awaited; its kit was taken away; it was revoked.
Change = Literal["made", "renewed", "changed", "unchanged", "awaited", "away", "revoked"]


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
            KitError: A key of a run that was cut short cannot be used.
            StorageError: The disk refuses.
        """
        for participant in self._project.participants:
            known = self._authority.state.known.get(participant.name)
            if known is not None:
                _require_role(participant, known)
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
        _require_role(participant, known)
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
            self.changes[name] = "renewed"

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
        self.changes[participant.name] = "made"

    def _hosts(self, known: Known) -> tuple[str, ...]:
        own = known.name == self._project.server.name
        return self._project.settings.host_names if own else ()


def unknown_participant(name: str, known: Iterable[str]) -> UsageError:
    """Return the error that says that nobody of that name has a certificate."""
    names = sorted(known)
    hint = did_you_mean(name, names) or f"There are: {', '.join(names) or 'none'}."
    return UsageError(f"no certificate was issued to {name!r}", hint=hint, reason="NOT_FOUND")


def _require_valid(known: Known) -> None:
    if known.revoked:
        raise KitError(
            f"{known.name} was revoked",
            hint="a revoked participant stays revoked; enter it under a new name",
            reason="REVOKED",
        )


def _require_role(participant: Participant, known: Known) -> None:
    if participant.identity.role is not known.role:
        raise KitError(
            f"{participant.name} is a {known.role} already, and cannot become a "
            f"{participant.identity.role}",
            hint="give the new participant another name",
            reason="NAME_TAKEN",
        )
