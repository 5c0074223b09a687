# SPDX-License-Identifier: Apache-2.0
"""An MMAR that somebody put there: admitted under a kit's rules before anything runs it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mmar_runner.admission.admitting import admit
from mmar_runner.admission.audit_line import MmarLine, OwnLog
from mmar_runner.admission.rules import rules_of
from mmar_runner.errors import (
    MmarError,
    MmarRunnerError,
    MmarUnreadableError,
    TrustError,
)
from mmar_runner.security.identity import Role
from mmar_runner.security.packages.mmar_store import MmarStore
from mmar_runner.security.policy.mends import with_command

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from mmar_runner.admission.admitting import Admission
    from mmar_runner.admission.rules import SiteRules
    from mmar_runner.interfaces.catalog import ComponentCatalog
    from mmar_runner.security.kits.kit import StartupKit


@dataclass(frozen=True, slots=True)
class LocalMmar:
    """An MMAR's folder, and what is said of it by whoever wants to run it.

    Attributes:
        folder: The folder.
        workspace: Where the copy that runs, and the audit log, are kept.
        settings: The ``--set`` values.
        client_name: As which client it would run; None for the site's own name.
    """

    folder: Path
    workspace: Path
    settings: Mapping[str, Any]
    client_name: str | None = None


def admitted(
    mmar: LocalMmar,
    catalog: ComponentCatalog,
    kit: StartupKit,
    require_valid: Callable[[Admission], None],
) -> tuple[Admission, SiteRules]:
    """Return an MMAR that may run here, or refuse it; both are audited.

    Args:
        mmar: What would run.
        catalog: What is installed.
        kit: Whose rules hold.
        require_valid: Shows what the validator found to whoever asked, and raises
            MmarInvalidError if there are errors.

    Raises:
        MmarUnreadableError: The folder cannot be read.
        MmarInvalidError: It has findings of severity error.
        TrustError: A rule refuses it.
        UsageError: A policy cannot be read, or is wrong.
    """
    action = "upload" if kit.identity.role is Role.SERVER else "run"
    line = MmarLine(OwnLog(mmar.workspace / "audit.jsonl", kit), action, kit)
    with line.written_on_refusal(MmarRunnerError):  # nothing runs without rules
        rules = rules_of(kit)
    try:
        admission = _looked_at(mmar, catalog, rules)
        line.of(admission)
        with_command(admission.decision, kit.folder).require()
        require_valid(admission)
    except MmarUnreadableError:
        raise  # nothing was there that could have been refused
    except (TrustError, MmarError) as error:
        line.refused(error.reason, error.message)
        raise
    line.accepted()
    return admission, rules


def _looked_at(mmar: LocalMmar, catalog: ComponentCatalog, rules: SiteRules) -> Admission:
    store = MmarStore(mmar.workspace / "store")
    store.sweep()
    return admit(
        mmar.folder,
        catalog,
        rules,
        store,
        origin="local",
        now=datetime.now(UTC),
        settings=mmar.settings,
        client_name=mmar.client_name,
    )
