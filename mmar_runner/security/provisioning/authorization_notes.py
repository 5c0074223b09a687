# SPDX-License-Identifier: Apache-2.0
"""What a given ``authorization.json`` says otherwise than the project file, which it outlives."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from mmar_runner.security.policy.authorization import SERVER_SITE
from mmar_runner.security.policy.authorization_file import load_authorization
from mmar_runner.security.provisioning.authority_folder import AUTHORIZATION_FILE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mmar_runner.security.policy.authorization_file import Authorization
    from mmar_runner.security.provisioning.authority import Authority
    from mmar_runner.security.provisioning.project_file import Project


def authorization_notes(project: Project, authority: Authority, out: Path) -> list[str]:
    """Say whom a given authorization does not name, or counts to another organisation.

    Args:
        project: The project.
        authority: Its authority, open.
        out: The folder of the kits.

    Returns:
        A sentence each, and one that says how all are mended; nothing if the authorization is
        generated from the project file.
    """
    if not authority.state.authorization_given:
        return []
    path = authority.folder / AUTHORIZATION_FILE
    given = load_authorization(path)
    found = [*_unnamed(project, given), *_elsewhere(project, given)]
    return [*found, _mend(path, out)] if found else []


def _sites(project: Project) -> dict[str, str]:
    """Return the organisation of every site, as the project file has it."""
    combiners = [combiner.participant for combiner in project.combiners]
    sites = {one.name: one.org for one in (*combiners, *project.clients)}
    return {SERVER_SITE: project.server.org, **sites}


def _unnamed(project: Project, given: Authorization) -> list[str]:
    users = {admin.name for admin in project.admins}
    missing = sorted({*_sites(project)} - {*given.sites}) + sorted(users - {*given.users})
    return [f"the given authorization.json does not name {name}" for name in missing]


def _elsewhere(project: Project, given: Authorization) -> Iterator[str]:
    """Say who is judged by the groups of an organisation that is not the project file's."""
    users = {admin.name: admin.org for admin in project.admins}
    counted = {**given.sites, **{name: user.org for name, user in given.users.items()}}
    for name, org in sorted({**_sites(project), **users}.items()):
        if counted.get(name, org) != org:
            yield (
                f"{name} is of {org} in the project file, and of {counted[name]} in the given "
                "authorization.json, whose groups count"
            )


def _mend(path: Path, out: Path) -> str:
    folder = shlex.quote(str(out))
    return (
        f"to mend that, correct 'users', 'orgs' and 'sites' in a copy of {path}, and give it: "
        f"`mmar-runner provision PROJECT.yml --out {folder} --authorization COPY`"
    )
