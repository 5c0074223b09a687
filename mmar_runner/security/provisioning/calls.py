# SPDX-License-Identifier: Apache-2.0
"""What can be asked of a project's authority: make kits, sign requests, renew, revoke."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mmar_runner.errors import CertificateError, UsageError
from mmar_runner.security.kits.files import read_kit_file
from mmar_runner.security.pki.keys import public_pem
from mmar_runner.security.pki.requests import read_request
from mmar_runner.security.provisioning.enrolment import DEFAULT_LIFE
from mmar_runner.security.provisioning.revocation_issue import everything_named
from mmar_runner.security.provisioning.shared_files import give_authorization
from mmar_runner.security.provisioning.work import opened

if TYPE_CHECKING:
    from mmar_runner.security.identity import Identity
    from mmar_runner.security.pki.requests import KeyRequest
    from mmar_runner.security.provisioning.project_file import Participant, Project
    from mmar_runner.security.provisioning.revocation_issue import ToRevoke
    from mmar_runner.security.provisioning.work import Provisioned

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


def provision(
    project_file: Path,
    out: Path,
    *,
    now: datetime,
    authorization: Path | None = None,
    life: timedelta = DEFAULT_LIFE,
) -> Provisioned:
    """Write a start-up kit for everybody in a project; see `provisioning`.

    Args:
        project_file: ``project.yml``.
        out: The folder of the kits.
        now: The present time, with a time zone.
        authorization: An ``authorization.json`` for all; without, one is generated, or
            the one that was given before stays.
        life: For how long new certificates hold.

    Raises:
        UsageError: The project file or the authorization file is wrong.
        KitError: Something in the folder is not as it was left.
        CertificateError: The root's time is over.
        StorageError: The disk refuses.
    """
    with opened(project_file, out, now, life, begin=True) as work:
        if authorization is not None:
            give_authorization(work.authority, authorization)
        work.enrolment.enrol()
        return work.done()


def sign_request(
    project_file: Path,
    request_file: Path,
    out: Path,
    *,
    now: datetime,
    life: timedelta = DEFAULT_LIFE,
) -> tuple[KeyRequest, Provisioned]:
    """Certify a participant's own keys and write its kit, without private keys.

    Args:
        project_file: ``project.yml``, which names the participant.
        request_file: What the participant sent.
        out: The folder of the kits.
        now: The present time, with a time zone.
        life: For how long the certificate holds.

    Returns:
        The request as it was certified, and what was done.

    Raises:
        UsageError: The project does not name that participant, or has no authority yet.
        CertificateError: The request is none (REQUEST_INVALID).
        KitError: The participant is known by another key (KEY_CHANGED), or revoked.
        StorageError: The disk refuses.
    """
    asked = read_request(read_kit_file(request_file))
    release = public_pem(asked.release_key) if asked.release_key else None
    with opened(project_file, out, now, life) as work:
        participant = _named(work.project, asked.identity, request_file)
        work.enrolment.accept(participant, public_pem(asked.tls_key), release)
        return asked, work.done(also=(participant.name,))


def renew(
    project_file: Path,
    out: Path,
    names: tuple[str, ...] = (),
    *,
    now: datetime,
    life: timedelta = DEFAULT_LIFE,
) -> Provisioned:
    """Issue new certificates for the same keys; nobody named means everybody.

    The kits of all of them are written, also of those that were taken away.

    Raises:
        UsageError: Somebody is not in the project, or has no certificate yet, or there is
            no authority.
        KitError: Somebody was revoked (REVOKED).
        StorageError: The disk refuses.
    """
    with opened(project_file, out, now, life) as work:
        work.enrolment.renew(names)
        return work.done()


def renew_keys(
    project_file: Path,
    out: Path,
    names: tuple[str, ...],
    *,
    now: datetime,
    life: timedelta = DEFAULT_LIFE,
) -> Provisioned:
    """Revoke what was issued to participants, and give them new keys under the same names.

    Raises:
        UsageError: Nobody is named, somebody is not in the project, has no certificate
            yet, or makes its own keys; or there is no authority.
        StorageError: The disk refuses; calling it again completes what was begun.
    """
    if not names:
        raise UsageError("name the participants who are to get new keys")
    with opened(project_file, out, now, life) as work:
        work.enrolment.rekey(tuple(dict.fromkeys(names)))
        return work.done()


def revoke(project_file: Path, out: Path, what: ToRevoke, *, now: datetime) -> Provisioned:
    """Revoke participants, release keys and MMARs, and hand the new list to every kit.

    Raises:
        UsageError: Nothing is named, nobody is called that or has that key, an id is none,
            or there is no authority.
        StorageError: The disk refuses.
    """
    if not (what.names or what.key_ids or what.digests):
        raise UsageError("nothing is named that could be revoked")
    for text in (*what.key_ids, *what.digests):
        if not _DIGEST.fullmatch(text):
            msg = f"{text!r} is no id of a key and no digest: these have 64 hexadecimal digits"
            raise UsageError(msg)
    with opened(project_file, out, now, DEFAULT_LIFE) as work:
        work.authority.revoke(everything_named(work.authority.state, what), what.names)
        return work.done()


def _named(project: Project, identity: Identity, request_file: Path) -> Participant:
    if identity.project != project.name:
        raise CertificateError(
            f"{request_file} asks for the project {identity.project!r}, not {project.name!r}",
            hint="sign it with that project's file, or have the request made again with "
            f"`mmar-runner provision request --project {project.name}`",
            reason="REQUEST_INVALID",
        )
    for participant in project.participants:
        if participant.identity == identity:
            return participant
    raise UsageError(
        f"the project {project.name!r} has no {identity.role} {identity.name!r}",
        hint="enter it in the project file first",
        reason="NOT_FOUND",
    )
