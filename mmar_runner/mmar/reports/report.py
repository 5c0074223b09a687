# SPDX-License-Identifier: Apache-2.0
"""The report on one MMAR."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mmar_runner.mmar.codes import Severity
from mmar_runner.mmar.finding import Finding

if TYPE_CHECKING:
    from mmar_runner.errors import MmarUnreadableError
    from mmar_runner.mmar.reports.deep import DeepReport
    from mmar_runner.mmar.spec import Generation


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that was found in one MMAR.

    Attributes:
        mmar: The folder, as it was given.
        generation: What its configuration is like; None if it is another system's.
        valid: True if no finding is an error.
        byoc: Whether it brings code.
        custom_datalist: Whether it brings its own data list.
        digest: sha256 over its manifest; None if it cannot be read.
        findings: By file and place.
        deep: What a deep check says beside them; None if there was none.
    """

    mmar: str
    generation: Generation | None = None
    valid: bool = False
    byoc: bool = False
    custom_datalist: bool = False
    digest: str | None = None
    findings: tuple[Finding, ...] = field(default_factory=tuple)
    deep: DeepReport | None = None

    @property
    def deployable(self) -> bool:
        """True if it is valid, every component is installed, and the given policy accepts it.

        What is not installed, and what the policy refuses, are errors like any other.
        """
        return self.valid

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings of severity error."""
        return tuple(f for f in self.findings if f.severity is Severity.ERROR)

    def count(self, severity: Severity) -> int:
        """Return how many findings have a severity."""
        return sum(finding.severity is severity for finding in self.findings)


def unreadable(mmar: str, error: MmarUnreadableError) -> Report:
    """Return the report on a folder that cannot be read."""
    finding = Finding("MMAR101", Severity.ERROR, "", 0, 0, "", error.message, error.hint)
    return Report(mmar, findings=(finding,))
