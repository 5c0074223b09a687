# SPDX-License-Identifier: Apache-2.0
"""What provisioning reports of each participant."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mmar_runner.security.pki.certificates import certificate_fingerprint

if TYPE_CHECKING:
    from mmar_runner.security.identity import Role
    from mmar_runner.security.provisioning.enrolment import Change
    from mmar_runner.security.provisioning.state import Known


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
        behind: Of a kit that was taken away, which files are not the project's newest.
    """

    name: str
    role: Role
    org: str
    change: Change
    folder: Path
    not_after: str | None
    fingerprint: str | None
    behind: tuple[str, ...] = ()


def described(known: Known, org: str, change: Change, folder: Path) -> Outcome:
    """Return what became of a participant that is known.

    Args:
        known: Who it is.
        org: Its organisation.
        change: What happened.
        folder: Its kit.
    """
    newest = known.newest
    fingerprint = certificate_fingerprint(newest.pem.encode())
    return Outcome(known.name, known.role, org, change, folder, newest.not_after, fingerprint)
