# SPDX-License-Identifier: Apache-2.0
"""A decision on the screen and as JSON: every rule, where it stands, what would mend it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mmar_runner.cli.output import echo_hint, echo_sentence, say
from mmar_runner.security.policy.authorization import SERVER_SITE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mmar_runner.security.decision import Decision, Place


def decision_lines(decision: Decision, *, every_place: bool = False) -> Iterator[str]:
    """Yield every rule's answer as lines for a person.

    Args:
        decision: The decision.
        every_place: Say where a rule is written even if it accepts.
    """
    for step in decision.steps:
        word = "yes" if step.accepted else "NO "
        reason = "" if step.accepted else f"{step.reason}: "
        yield f"  {word} {step.rule}: {reason}{step.message}"
        for what, place in (("policy", step.policy), ("in the MMAR", step.subject)):
            if place is not None and (every_place or not step.accepted):
                yield f"      {what}: {place}"
        if step.hint and not step.accepted:
            yield f"      mend: {step.hint}"


def echo_refusals(decision: Decision) -> None:
    """Write to standard error what every rule that refuses says: why, where, and the mend."""
    whose = "this server's" if decision.site == SERVER_SITE else "this site's"
    for step in decision.refusals:
        echo_sentence(step.reason, step.message)
        for what, place in ((f"{whose} policy", step.policy), ("in the MMAR", step.subject)):
            if place is not None:
                say(f"    {what}: {place}", err=True)
        if step.hint:
            echo_hint(step.hint)


def steps_json(decision: Decision) -> list[dict[str, Any]]:
    """Return every rule's answer as a JSON value."""
    return [
        {
            "rule": step.rule,
            "accepted": step.accepted,
            "reason": step.reason,
            "message": step.message,
            "policy": _place(step.policy),
            "subject": _place(step.subject),
            "hint": step.hint,
        }
        for step in decision.steps
    ]


def _place(place: Place | None) -> dict[str, Any] | None:
    if place is None:
        return None
    return {
        "file": place.file,
        "line": place.line,
        "column": place.column,
        "pointer": place.pointer,
    }
