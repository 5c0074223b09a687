# SPDX-License-Identifier: Apache-2.0
"""A decision and its trace: every rule that was asked, what it said, and where it stands."""

from __future__ import annotations

from dataclasses import dataclass

from mmar_runner.errors import NotAuthorizedError, SignatureError, TrustError


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is written.

    Attributes:
        file: The file, as a person would name it.
        line: Line, from 1; 0 for the whole file.
        column: Column, from 1; 0 likewise.
        pointer: JSON pointer; empty for the whole file.
    """

    file: str
    line: int = 0
    column: int = 0
    pointer: str = ""

    def __str__(self) -> str:
        """Return ``file:line:column pointer``, as far as it is known."""
        position = f":{self.line}:{self.column}" if self.line else ""
        return f"{self.file}{position}{' ' if self.pointer else ''}{self.pointer}"


@dataclass(frozen=True, slots=True)
class Step:
    """One rule's answer.

    Attributes:
        rule: The rule's stable name, such as ``signature.threshold``.
        accepted: Whether it lets the request pass.
        message: What it found, one sentence.
        reason: A stable id if it refuses, such as ``THRESHOLD``; else empty.
        policy: Where the rule is written; None if it is the program's own.
        subject: The place in the MMAR that the rule speaks of, or None.
        hint: What would change the answer, or None.
    """

    rule: str
    accepted: bool
    message: str
    reason: str = ""
    policy: Place | None = None
    subject: Place | None = None
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What all rules together say of one request at one site.

    Attributes:
        action: What is to be done: upload, deploy, train, view, operate or run.
        site: Where.
        users: For whom: e-mail addresses, sorted.
        digest: The MMAR that it is about.
        steps: Every rule's answer, in the order they were asked.
    """

    action: str
    site: str
    users: tuple[str, ...]
    digest: str
    steps: tuple[Step, ...]

    @property
    def accepted(self) -> bool:
        """True if no rule refuses."""
        return all(step.accepted for step in self.steps)

    @property
    def refusals(self) -> tuple[Step, ...]:
        """The answers of the rules that refuse."""
        return tuple(step for step in self.steps if not step.accepted)

    def require(self) -> None:
        """Raise what the first refusal says.

        Raises:
            SignatureError: A rule of the signatures refuses.
            NotAuthorizedError: Another rule refuses.
        """
        if self.accepted:
            return
        first = self.refusals[0]
        kind: type[TrustError] = NotAuthorizedError
        if first.rule.startswith("signature."):
            kind = SignatureError
        cause = RulesRefusedError(self)
        raise kind(first.message, hint=first.hint, reason=first.reason) from cause


class RulesRefusedError(Exception):
    """The cause of an error that a decision became: whoever shows it can show every refusal.

    Attributes:
        decision: It.
    """

    def __init__(self, decision: Decision) -> None:
        super().__init__("; ".join(step.message for step in decision.refusals))
        self.decision = decision
