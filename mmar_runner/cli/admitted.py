# SPDX-License-Identifier: Apache-2.0
"""Admits an MMAR under a start-up kit's rules before a command runs it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from mmar_runner.cli.validated import require_valid
from mmar_runner.mmar.admission import SERVER_SITE, SiteRules, admit
from mmar_runner.security.audit import AuditLog
from mmar_runner.security.authorization_file import load_authorization
from mmar_runner.security.identity import Role
from mmar_runner.security.mmar_store import MmarStore
from mmar_runner.security.site_policy import SitePolicy, load_policy
from mmar_runner.security.version_memory import VersionMemory

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mmar_runner.hooks import LoadedPlugins
    from mmar_runner.mmar.admission import Admission
    from mmar_runner.security.decision import Decision
    from mmar_runner.security.kit import StartupKit


def site_rules(kit: StartupKit) -> SiteRules:
    """Return what the owner of a kit judges MMARs by.

    Raises:
        UsageError: A policy file cannot be read, or is wrong.
        SignatureError: The list of revocations is not the project's.
        StorageError: A file of the kit cannot be read.
    """
    is_server = kit.identity.role is Role.SERVER
    has_policy = kit.policy is not None and kit.policy.exists()
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
) -> tuple[Admission, SiteRules]:
    """Return an MMAR that may run here, or say on stderr why not; both are audited.

    Args:
        mmar: The folder that was named.
        plugins: The plugins in force.
        kit: Whose rules hold.
        workspace: Where the copy that runs, and the audit log, are kept.
        settings: The ``--set`` values.

    Raises:
        MmarUnreadableError: The folder cannot be read.
        MmarInvalidError: It has findings of severity error, which were printed.
        TrustError: A rule refuses it.
    """
    rules = site_rules(kit)
    is_server = kit.identity.role is Role.SERVER
    store = MmarStore(workspace / "store")
    store.sweep()
    admission = admit(
        mmar,
        plugins.registry,
        rules,
        store,
        side="server" if is_server else "client",
        action="upload" if is_server else "run",
        origin="local",
        now=datetime.now(UTC),
        settings=settings,
    )
    record_decision(workspace, kit, admission.decision)
    require_accepted(admission.decision)
    require_valid(mmar, admission.validation)
    return admission, rules


def record_decision(workspace: Path, kit: StartupKit, decision: Decision) -> None:
    """Write one line of audit about a decision."""
    with AuditLog(workspace / "audit.jsonl") as audit:
        audit.record(
            f"mmar.{decision.action}",
            who=", ".join(decision.users),
            decision="accepted" if decision.accepted else "refused",
            reason=decision.refusals[0].reason if decision.refusals else "",
            site=decision.site,
            digest=decision.digest,
            at=f"{kit.identity.role} {kit.identity.name}",
            message=decision.refusals[0].message if decision.refusals else "",
        )


def require_accepted(decision: Decision) -> None:
    """Raise the first refusal, and say the others on stderr.

    Raises:
        TrustError: A rule refuses.
    """
    for step in decision.refusals[1:]:
        click.echo(f"{step.reason}: {step.message}", err=True)
        if step.hint:
            click.echo(f"    hint: {step.hint}", err=True)
    decision.require()
