# SPDX-License-Identifier: Apache-2.0
"""Admits an MMAR under a start-up kit's rules before a command runs it."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mmar_runner.cli.output import say
from mmar_runner.cli.validated import require_valid
from mmar_runner.errors import (
    MmarError,
    MmarInvalidError,
    MmarRunnerError,
    MmarUnreadableError,
    TrustError,
)
from mmar_runner.mmar.admission import SiteRules, admit
from mmar_runner.security.identity import Role
from mmar_runner.security.policy.authorization import SERVER_SITE
from mmar_runner.security.policy.authorization_file import load_authorization
from mmar_runner.security.policy.mends import with_command
from mmar_runner.security.policy.site_policy import SitePolicy, load_policy
from mmar_runner.security.signatures.version_memory import VersionMemory

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mmar_runner.hooks import LoadedPlugins
    from mmar_runner.mmar.admission import Admission
    from mmar_runner.security.decision import Decision
    from mmar_runner.security.kits.kit import StartupKit


def site_rules(kit: StartupKit) -> SiteRules:
    """Return what the owner of a kit judges MMARs by.

    Raises:
        UsageError: A policy file cannot be read, or is wrong.
        SignatureError: The list of revocations is not the project's.
        StorageError: A file of the kit cannot be read.
    """
    is_server = kit.identity.role is Role.SERVER
    # A link that leads nowhere is no absent policy: the site has one, and it cannot be read.
    has_policy = kit.policy is not None and os.path.lexists(kit.policy)
    if kit.policy is not None and not has_policy:
        lost = "the defaults hold (no code, no class paths), and no block or filter of a lost one"
        say(f"warning: there is no {kit.policy}: {lost}", err=True)
    return SiteRules(
        site=SERVER_SITE if is_server else kit.identity.name,
        trust_root=kit.trust_root,
        revocations=kit.revocation_memory().current,
        authorization=load_authorization(kit.authorization),
        policy=load_policy(kit.policy) if kit.policy and has_policy else SitePolicy(),
        versions=VersionMemory(kit.state_folder / "versions.json"),
    )


def admitted(
    mmar: Path,
    plugins: LoadedPlugins,
    kit: StartupKit,
    workspace: Path,
    *,
    settings: Mapping[str, Any],
    client_name: str | None = None,
) -> tuple[Admission, SiteRules]:
    """Return an MMAR that may run here, or refuse it; both are audited.

    Args:
        mmar: The folder that was named.
        plugins: The plugins in force.
        kit: Whose rules hold.
        workspace: Where the copy that runs, and the audit log, are kept.
        settings: The ``--set`` values.
        client_name: As which client it would run; None for the site's own name.

    Raises:
        MmarUnreadableError: The folder cannot be read.
        MmarInvalidError: It has findings of severity error, which were printed.
        TrustError: A rule refuses it.
        UsageError: A policy cannot be read, or is wrong.
    """
    action = "upload" if kit.identity.role is Role.SERVER else "run"
    try:
        rules = site_rules(kit)
    except MmarRunnerError as error:  # nothing runs without rules: that is a refusal too
        _record(workspace, kit, action, reason=error.reason, message=error.message)
        raise
    # Late, as the log below: `policy explain` and `verify-mmar` need the rules alone.
    from mmar_runner.security.packages.mmar_store import MmarStore  # noqa: PLC0415

    store = MmarStore(workspace / "store")
    store.sweep()
    try:
        admission = admit(
            mmar,
            plugins.registry,
            rules,
            store,
            origin="local",
            now=datetime.now(UTC),
            settings=settings,
            client_name=client_name,
        )
    except MmarUnreadableError:
        raise  # nothing was there that could have been refused
    except (TrustError, MmarError) as error:
        _record(workspace, kit, action, reason=error.reason, message=error.message)
        raise
    record_decision(workspace, kit, admission)
    with_command(admission.decision, kit.folder).require()
    require_valid(mmar, admission.validation)
    return admission, rules


def record_decision(workspace: Path, kit: StartupKit, admission: Admission) -> None:
    """Write one line of audit about what may be done with an MMAR."""
    decision, reason, message = admission.decision, "", ""
    if decision.refusals:
        reason, message = decision.refusals[0].reason, decision.refusals[0].message
    elif not admission.validation.report.valid:
        reason, message = MmarInvalidError.default_reason, "The validator found errors in it."
    _record(
        workspace,
        kit,
        decision.action,
        signers=", ".join(decision.users),
        reason=reason,
        message=message,
        digest=decision.digest,
    )


def record_sites(
    workspace: Path,
    kit: StartupKit,
    admission: Admission,
    decisions: Mapping[str, Decision],
    *,
    reason: str = "",
) -> None:
    """Write one line of audit about the sites that an MMAR is deployed to.

    Args:
        workspace: Where the audit log is kept.
        kit: The server's.
        admission: What was taken in.
        decisions: What the project's policy says of it at every site.
        reason: Why it is deployed nowhere; empty if it is deployed.
    """
    sites: dict[str, list[str]] = {}
    for site, decision in decisions.items():
        first = next(iter(decision.refusals), None)
        sites.setdefault(first.reason if first else "accepted", []).append(site)
    _record(
        workspace,
        kit,
        "deploy",
        reason=reason,
        message="Too few sites may run it." if reason else "",
        signers=", ".join(admission.signers),
        digest=admission.decision.digest,
        sites={outcome: ", ".join(names) for outcome, names in sites.items()},
    )


def _record(
    workspace: Path,
    kit: StartupKit,
    action: str,
    *,
    reason: str,
    message: str,
    signers: str = "",
    digest: str = "",
    **facts: Any,
) -> None:
    """Write one line of audit: a refusal if there is a reason."""
    is_server = kit.identity.role is Role.SERVER
    from mmar_runner.security.audit.log import AuditLog  # noqa: PLC0415

    with AuditLog(workspace / "audit.jsonl") as audit:
        audit.record(
            f"mmar.{action}",
            who=f"{kit.identity.role} {kit.identity.name}",
            decision="refused" if reason else "accepted",
            reason=reason,
            site=SERVER_SITE if is_server else kit.identity.name,
            digest=digest,
            signers=signers,
            message=message,
            **facts,
        )
