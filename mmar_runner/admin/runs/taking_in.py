# SPDX-License-Identifier: Apache-2.0
"""An uploaded MMAR becomes one that a standing server may run: looked at, judged, kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from mmar_runner.admission.admitting import admit, look_at
from mmar_runner.admission.audit_line import MmarLine
from mmar_runner.admission.deployment import deployed, record_sites, require_sites
from mmar_runner.admission.rules import rules_of
from mmar_runner.documents.words import counted
from mmar_runner.errors import MmarError, MmarInvalidError, NotAuthorizedError, TrustError
from mmar_runner.mmar.reports.as_json import finding_json
from mmar_runner.security.policy.mends import with_command
from mmar_runner.server.trust import ServerTrust

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from mmar_runner.admission.admitting import Admission
    from mmar_runner.admission.deployment import Deployment
    from mmar_runner.admission.rules import SiteRules
    from mmar_runner.interfaces.catalog import ComponentCatalog
    from mmar_runner.mmar.spec import MmarSpec
    from mmar_runner.security.audit.line import Decision
    from mmar_runner.security.audit.log import AuditLog
    from mmar_runner.security.kits.kit import StartupKit
    from mmar_runner.security.listing import HashedFile
    from mmar_runner.security.packages.mmar_store import MmarStore


@dataclass(frozen=True, slots=True)
class OfficeLog:
    """The audit log of a standing server, which stays open.

    Attributes:
        log: It.
        who: The server's identity.
    """

    log: AuditLog
    who: str

    def record(self, action: str, decision: Decision, reason: str = "", **facts: Any) -> None:
        """Write one line."""
        self.log.record(action, who=self.who, decision=decision, reason=reason, **facts)


@dataclass(frozen=True, slots=True)
class TakenIn:
    """An MMAR that the server may run.

    Attributes:
        admission: The copy that was looked at.
        deployment: What is known of the sites.
        trust: What the run's server goes by.
    """

    admission: Admission
    deployment: Deployment
    trust: ServerTrust

    @property
    def spec(self) -> MmarSpec:
        """What is run."""
        return self.deployment.spec

    @property
    def digest(self) -> str:
        """What the MMAR is known by."""
        return self.admission.digest


class Intake:
    """Takes MMARs in, for as long as a server stands. Blocks.

    Args:
        kit: The server's.
        catalog: What is installed.
        store: Where copies are kept.
        log: Gets a line for each.
        variables: The ``--set`` values, for every run.
    """

    def __init__(
        self,
        kit: StartupKit,
        catalog: ComponentCatalog,
        store: MmarStore,
        log: OfficeLog,
        variables: Mapping[str, Any],
    ) -> None:
        self._kit = kit
        self._catalog = catalog
        self._store = store
        self._log = log
        self._variables = variables

    def look(self, folder: Path) -> Admission:
        """Return a copy of a folder that may run by the rules and the validator.

        Raises:
            MmarError: It cannot be read, or has findings of severity error.
            TrustError: A rule refuses it.
            StorageError: The copy cannot be made.
        """
        return self._judged(
            lambda rules: admit(
                folder,
                self._catalog,
                rules,
                self._store,
                origin="delivered",
                now=datetime.now(UTC),
                settings=self._variables,
            )
        )

    def look_only(
        self, folder: Path, hashed: Mapping[str, HashedFile] = MappingProxyType({})
    ) -> Admission:
        """Return the same of a folder itself, and keep nothing: neither a copy nor the version.

        A run of an older version goes on.

        Args:
            folder: The MMAR, unpacked here, where nobody else writes.
            hashed: What its files hold, as they were written; the others are read.

        Raises:
            MmarError: As `look`.
            TrustError: As `look`.
        """
        return self._judged(
            lambda rules: look_at(
                folder,
                self._catalog,
                rules,
                hashed,
                origin="delivered",
                now=datetime.now(UTC),
                settings=self._variables,
            )
        )

    def _judged(self, admission_by: Callable[[SiteRules], Admission]) -> Admission:
        """Return what may run, or refuse it; both are audited."""
        line = MmarLine(self._log, "upload", self._kit)
        with line.written_on_refusal(TrustError, MmarError):
            admission = admission_by(rules_of(self._kit))
            line.of(admission)
            with_command(admission.decision, self._kit.folder).require()
            _require_valid(admission)
        line.accepted()
        return admission

    def take(self, folder: Path) -> TakenIn:
        """Return an MMAR that may run here, and at enough sites.

        Raises:
            MmarError: As `look`.
            TrustError: As `look`; or too few sites may run it (TOO_FEW_SITES).
            StorageError: As `look`.
        """
        admission, rules = self.look(folder), rules_of(self._kit)
        deployment = deployed(admission, rules.authorization, self._kit)
        try:
            require_sites(deployment)
        except NotAuthorizedError as error:
            record_sites(self._log, admission, deployment, reason=error.reason)
            raise
        record_sites(self._log, admission, deployment)
        prefixes = rules.policy.allowed_path_prefixes
        return TakenIn(
            admission, deployment, ServerTrust(self._kit, deployment.decisions, prefixes)
        )


def _require_valid(admission: Admission) -> None:
    report, unfilled = admission.validation.report, admission.validation.unfilled
    errors = (*report.errors, *unfilled)
    if errors:
        first = errors[0]
        msg = (
            f"{admission.root.name} has {counted(len(errors), 'error')}: "
            f"{first.file}:{first.line}:{first.column}: {first.code}: {first.message}"
        )
        found = [finding_json(finding) for finding in errors]
        raise MmarInvalidError(msg, hint=first.hint, findings=found)
