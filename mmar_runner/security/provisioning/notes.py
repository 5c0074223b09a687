# SPDX-License-Identifier: Apache-2.0
"""What a person should know of a project, beside what was done."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from mmar_runner.security.policy.authorization_file import load_authorization
from mmar_runner.security.provisioning.authority_folder import AUTHORIZATION_FILE

if TYPE_CHECKING:
    from pathlib import Path

    from mmar_runner.security.provisioning.authority import Authority
    from mmar_runner.security.provisioning.project_file import Project


def notes(project: Project, authority: Authority, out: Path) -> tuple[str, ...]:
    """Return what a person should know, in sentences.

    Args:
        project: The project.
        authority: Its authority, open.
        out: The folder of the kits.
    """
    return (*project.notes, *_departed(project, authority, out), *_unnamed(project, authority))


def _departed(project: Project, authority: Authority, out: Path) -> list[str]:
    """Say whose certificate holds although the project file no longer names it."""
    current = {participant.name for participant in project.participants}
    return [
        f"{name} is not in the project file, and its certificate holds until "
        f"{known.newest.not_after}; `mmar-runner provision revoke PROJECT.yml {name} "
        f"--out {out}` ends that"
        for name, known in sorted(authority.state.known.items())
        if name not in current
        and not known.revoked
        and datetime.fromisoformat(known.newest.not_after) > authority.now
    ]


def _unnamed(project: Project, authority: Authority) -> list[str]:
    """Say whom the given authorization does not name."""
    if not authority.state.authorization_given:
        return []
    given = load_authorization(authority.folder / AUTHORIZATION_FILE)
    sites = {"server", *(client.name for client in project.clients)}
    users = {admin.name for admin in project.admins}
    missing = sorted(sites - set(given.sites)) + sorted(users - set(given.users))
    return [f"the given authorization.json does not name {name}" for name in missing]
