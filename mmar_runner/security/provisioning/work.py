# SPDX-License-Identifier: Apache-2.0
"""One call to a project's authority: opened, worked with, and reported."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from mmar_runner.errors import UsageError
from mmar_runner.security.pki.certificates import certificate_fingerprint
from mmar_runner.security.provisioning.authority import open_authority
from mmar_runner.security.provisioning.enrolment import Enrolment
from mmar_runner.security.provisioning.making import KitWriter
from mmar_runner.security.provisioning.notes import notes
from mmar_runner.security.provisioning.project_file import load_project

if TYPE_CHECKING:
    from mmar_runner.security.provisioning.authority import Authority
    from mmar_runner.security.provisioning.outcome import Outcome
    from mmar_runner.security.provisioning.project_file import Project


@dataclass(frozen=True, slots=True)
class Provisioned:
    """What a call did.

    Attributes:
        project: The project's name.
        root_fingerprint: sha256 of the root's certificate (DER), hex: what participants
            compare by telephone.
        revocations: Version of the newest list of revocations.
        outcomes: What became of every participant.
        notes: What a person should know, in sentences.
    """

    project: str
    root_fingerprint: str
    revocations: int
    outcomes: tuple[Outcome, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Work:
    """One call's work, while the authority is open.

    Attributes:
        project: The project.
        authority: Its authority.
        out: The folder of the kits.
        enrolment: Gives certificates.
    """

    project: Project
    authority: Authority
    out: Path
    enrolment: Enrolment

    def done(self, also: tuple[str, ...] = ()) -> Provisioned:
        """Bring all kits to what is known now.

        Args:
            also: Whose kits are written even if they are away, beside those of everybody
                to whom something happened in this call.
        """
        writer = KitWriter(self.project, self.authority, self.out, self.enrolment.changes)
        outcomes = writer.write(also=also)
        return Provisioned(
            project=self.project.name,
            root_fingerprint=certificate_fingerprint(self.authority.root_pem),
            revocations=self.authority.state.revoked.version,
            outcomes=outcomes,
            notes=notes(self.project, self.authority, self.out, outcomes),
        )


@contextmanager
def opened(
    project_file: Path, out: Path, now: datetime, life: timedelta, *, begin: bool = False
) -> Iterator[Work]:
    """Open a project and its authority for one call.

    Args:
        project_file: ``project.yml``.
        out: The folder of the kits.
        now: The present time, with a time zone.
        life: For how long new certificates hold.
        begin: True to make an authority where there is none.

    Raises:
        UsageError: The project file is wrong, the life no time at all, or there is no
            authority (NOT_FOUND).
        KitError: As `open_authority`.
        CertificateError: As there.
        StorageError: The disk refuses.
    """
    if life <= timedelta(0):
        raise UsageError(f"certificates cannot hold for {life}")
    project = load_project(project_file)
    with open_authority(out, project.name, now, begin=begin) as authority:
        yield Work(project, authority, out, Enrolment(project, authority, out, life))
