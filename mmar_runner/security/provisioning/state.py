# SPDX-License-Identifier: Apache-2.0
"""What a project's authority remembers: whom it knows by which key, and what it revoked.

Nothing in here is secret. Certificates are kept as they were issued, so that a kit that
was only half written can be completed without issuing anything again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from mmar_runner.documents.strict_json import parse_checked
from mmar_runner.errors import KitError
from mmar_runner.security.identity import Identity, Role
from mmar_runner.security.packages.names import name_key

#: The most bytes of a state.
MAX_STATE_BYTES: Final = 64 * 1024 * 1024
_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Issued:
    """One certificate.

    Attributes:
        serial: Its serial number, lower-case hex.
        not_after: Until when it holds: ISO 8601, UTC.
        pem: The certificate.
    """

    serial: str
    not_after: str
    pem: str


@dataclass(frozen=True, slots=True)
class Known:
    """A participant whose key is known.

    Attributes:
        role: What it is.
        name: Its name.
        requested: True if it made its keys itself.
        tls_key: Its public key, PEM.
        release_key: An administrator's public key for signing, PEM; else None.
        certificates: What was issued to it, the newest last.
        revoked: True if everything of it was revoked.
        signed: sha256 (hex) of the files that were signed for its kit when that was last
            written, by name; empty if that is not known.
    """

    role: Role
    name: str
    requested: bool
    tls_key: str
    release_key: str | None
    certificates: tuple[Issued, ...] = ()
    revoked: bool = False
    signed: Mapping[str, str] = field(default_factory=dict)

    @property
    def newest(self) -> Issued:
        """The certificate that counts."""
        return self.certificates[-1]

    def with_certificate(self, issued: Issued) -> Known:
        """Return the participant with a newer certificate."""
        return replace(self, certificates=(*self.certificates, issued))

    def identity(self, project: str) -> Identity:
        """Return who it is in a project."""
        return Identity(project, self.role, self.name)


@dataclass(frozen=True, slots=True)
class Revoked:
    """What was revoked so far, as `revocation.RevocationList`."""

    version: int = 1
    serials: tuple[str, ...] = ()
    key_ids: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AuthorityState:
    """Everything that an authority remembers.

    Attributes:
        project: The project's name.
        authorization_given: True if ``authorization.json`` was given, not generated.
        known: Participants by name.
        revoked: What was revoked.
    """

    project: str
    authorization_given: bool = False
    known: Mapping[str, Known] = field(default_factory=dict)
    revoked: Revoked = Revoked()

    def with_known(self, known: Known) -> AuthorityState:
        """Return the state with a participant, new or changed."""
        return replace(self, known={**self.known, known.name: known})

    def with_revoked(self, revoked: Revoked) -> AuthorityState:
        """Return the state with more that is revoked; only what is new makes a new version."""
        new = merged(self.revoked, revoked)
        if new == self.revoked:
            return self
        return replace(self, revoked=replace(new, version=new.version + 1))

    def to_json(self) -> bytes:
        """Return the state as it is kept."""
        value = {
            "version": _VERSION,
            "project": self.project,
            "authorization_given": self.authorization_given,
            "known": [asdict(known) for _, known in sorted(self.known.items())],
            "revoked": asdict(self.revoked),
        }
        return f"{json.dumps(value, indent=1, ensure_ascii=False)}\n".encode()

    @classmethod
    def from_json(cls, data: bytes) -> AuthorityState:
        """Return the state that a file keeps.

        Raises:
            KitError: It is damaged (AUTHORITY_DAMAGED).
        """
        try:
            value: dict[str, Any] = parse_checked(data, "authority", limit=MAX_STATE_BYTES)
        except ValueError as error:
            raise _damaged(str(error)) from error
        known = [_known(entry) for entry in value["known"]]
        if len({name_key(entry.name) for entry in known}) < len(known):
            raise _damaged("names a participant twice")
        return cls(
            project=value["project"],
            authorization_given=value["authorization_given"],
            known={entry.name: entry for entry in known},
            revoked=Revoked(**{k: _tuple(v) for k, v in value["revoked"].items()}),
        )


def _damaged(why: str) -> KitError:
    return KitError(
        f"what the authority remembers {why}",
        hint="take authority/state.json from your backup",
        reason="AUTHORITY_DAMAGED",
    )


def merged(old: Revoked, new: Revoked) -> Revoked:
    """Return everything that either holds, under the old version."""
    return Revoked(
        old.version,
        tuple(sorted({*old.serials, *new.serials})),
        tuple(sorted({*old.key_ids, *new.key_ids})),
        tuple(sorted({*old.digests, *new.digests})),
    )


def time_text(time: datetime) -> str:
    """Return a time as the state keeps it."""
    return time.isoformat(timespec="seconds")


def _known(entry: dict[str, Any]) -> Known:
    certificates = tuple(Issued(**issued) for issued in entry["certificates"])
    return Known(**{**entry, "role": Role(entry["role"]), "certificates": certificates})


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
