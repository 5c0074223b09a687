# SPDX-License-Identifier: Apache-2.0
"""What a person should know of a project, beside what was done."""

from __future__ import annotations

import shlex
from datetime import datetime
from ipaddress import ip_address
from typing import TYPE_CHECKING

from mmar_runner.documents.words import counted
from mmar_runner.security.kits.files import REQUEST_FILE
from mmar_runner.security.pki.certificates import certificate_hosts, load_certificate
from mmar_runner.security.provisioning.authorization_notes import authorization_notes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from mmar_runner.security.provisioning.authority import Authority
    from mmar_runner.security.provisioning.outcome import Outcome
    from mmar_runner.security.provisioning.project_file import Project


def notes(
    project: Project, authority: Authority, out: Path, outcomes: Sequence[Outcome]
) -> tuple[str, ...]:
    """Return what a person should know, in sentences.

    Args:
        project: The project.
        authority: Its authority, open.
        out: The folder of the kits.
        outcomes: What became of everybody.
    """
    return (
        *project.notes,
        *_lacking(project),
        *_awaited(project, out, outcomes),
        *_behind(out, outcomes),
        *_hosts(project, authority, out),
        *_departed(project, authority, out),
        *authorization_notes(project, authority, out),
    )


def _lacking(project: Project) -> Iterator[str]:
    """Say what nothing can run without."""
    least, clients = project.settings.min_num_clients, len(project.clients)
    if least > clients:
        yield (
            f"min_num_clients is {least} (2 if it is left out), and the project has "
            f"{counted(clients, 'client')}: no run can begin"
        )
    if not project.admins:
        yield "the project has no administrator (admin_clients): nobody can sign an MMAR"


def _awaited(project: Project, out: Path, outcomes: Iterable[Outcome]) -> Iterator[str]:
    """Say what is to be done so that who makes its own keys gets a kit."""
    for outcome in outcomes:
        if outcome.change != "awaited":
            continue
        path = outcome.folder / REQUEST_FILE
        if path.is_file():
            yield f"{outcome.name} asks for a kit: {_call('sign', shlex.quote(str(path)), out)}"
            continue
        asking = (
            f"`mmar-runner provision request --project {shlex.quote(project.name)} "
            f"--role {outcome.role} --name {outcome.name} --out DIR`"
        )
        yield (
            f"{outcome.name} makes its own keys: it calls {asking} and sends its {REQUEST_FILE}; "
            f"then {_call('sign', REQUEST_FILE, out)}"
        )


def _behind(out: Path, outcomes: Iterable[Outcome]) -> Iterator[str]:
    """Say who has a kit whose files are not the newest, and is not here to get them."""
    away = [outcome for outcome in outcomes if outcome.behind]
    if away:
        files = sorted({name for outcome in away for name in outcome.behind})
        names = " ".join(outcome.name for outcome in away)
        many = f"{len(away)} kits that were taken away hold"
        hold = many if len(away) > 1 else "1 kit that was taken away holds"
        yield (
            f"{hold} an old {' or '.join(files)}: {_call('renew', names, out)} writes what is to "
            "be laid over"
        )


def _hosts(project: Project, authority: Authority, out: Path) -> Iterator[str]:
    """Say which names of the server, or of a combiner, its certificate is not for."""
    for participant in project.participants:
        known = authority.state.known.get(participant.name)
        wanted = project.host_names(participant.name)
        if known is None or known.revoked or not wanted:
            continue
        there = certificate_hosts(load_certificate(known.newest.pem.encode()))
        lacks = [host for host in wanted if _normal(host) not in there]
        if lacks:
            yield (
                f"the certificate of {known.name} lacks {', '.join(lacks)}: "
                f"{_call('renew', known.name, out)}"
            )


def _departed(project: Project, authority: Authority, out: Path) -> Iterator[str]:
    """Say whose certificate holds although the project file no longer names it."""
    current = {participant.name for participant in project.participants}
    for name, known in sorted(authority.state.known.items()):
        holds = datetime.fromisoformat(known.newest.not_after) > authority.now
        if name not in current and not known.revoked and holds:
            yield (
                f"{name} is not in the project file, and its certificate holds until "
                f"{known.newest.not_after}; {_call('revoke', name, out)} ends that"
            )


def _normal(host: str) -> str:
    """Return a host as a certificate has it: of an address there is one spelling."""
    try:
        return str(ip_address(host))
    except ValueError:
        return host


def _call(what: str, whom: str, out: Path) -> str:
    """Return a call of ``provision`` for people to copy."""
    return f"`mmar-runner provision {what} PROJECT.yml {whom} --out {shlex.quote(str(out))}`"
