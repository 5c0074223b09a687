# SPDX-License-Identifier: Apache-2.0
"""The line of audit about an MMAR: the same wherever it came from and whoever was asked."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from mmar_runner.admission.rules import site_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mmar_runner.admission.admitting import Admission
    from mmar_runner.errors import MmarRunnerError
    from mmar_runner.security.audit.line import Decision
    from mmar_runner.security.kits.kit import StartupKit


class Writer(Protocol):
    """Writes one line into the audit log of a kit's owner."""

    def record(self, action: str, decision: Decision, reason: str = "", **facts: Any) -> None:
        """Write it.

        Raises:
            AuditError: It, or something before it, cannot be written.
        """


@dataclass(frozen=True, slots=True)
class OwnLog:
    """The audit log of a kit's owner, opened for one line at a time.

    Attributes:
        path: The log.
        kit: Whose it is.
    """

    path: Path
    kit: StartupKit

    def record(self, action: str, decision: Decision, reason: str = "", **facts: Any) -> None:
        """Write one line.

        Raises:
            AuditError: It cannot be written, or another process writes the log.
        """
        # Deferred: `policy explain` and `verify-mmar` write nothing.
        from mmar_runner.security.audit.log import AuditLog  # noqa: PLC0415

        who = f"{self.kit.identity.role} {self.kit.identity.name}"
        with AuditLog(self.path) as log:
            log.record(action, who=who, decision=decision, reason=reason, **facts)


class MmarLine:
    """What is written about one MMAR, once it is known what becomes of it.

    Args:
        log: Where the line goes.
        action: What was asked for, a key of `authorization.ACTIONS`.
        kit: Who was asked.

    Attributes:
        digest: What the MMAR is known by, once it is known; a package says its own.
    """

    def __init__(self, log: Writer, action: str, kit: StartupKit) -> None:
        self._log = log
        self._action = action
        self._site = site_of(kit)
        self._signers = ""
        self.digest = ""

    def of(self, admission: Admission) -> None:
        """Take digest and signers from an MMAR that was looked at."""
        self.digest = admission.decision.digest
        self._signers = ", ".join(admission.decision.users)

    @contextmanager
    def written_on_refusal(self, *refusals: type[MmarRunnerError]) -> Iterator[None]:
        """Write a refusal down if it is one of these errors, and pass it on."""
        try:
            yield
        except refusals as error:
            self.refused(error.reason, error.message)
            raise

    def accepted(self) -> None:
        """Write down that it may run here.

        Raises:
            AuditError: It, or something before it, cannot be written.
        """
        self._write("accepted", "", "")

    def refused(self, reason: str, message: str) -> None:
        """Write down that it may not.

        Raises:
            AuditError: It, or something before it, cannot be written.
        """
        self._write("refused", reason, message)

    def _write(self, decision: Decision, reason: str, message: str) -> None:
        self._log.record(
            f"mmar.{self._action}",
            decision,
            reason,
            site=self._site,
            digest=self.digest,
            signers=self._signers,
            message=message,
        )
