# SPDX-License-Identifier: Apache-2.0
"""The two answers that a rule can give."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmar_runner.security.decision import Step

if TYPE_CHECKING:
    from mmar_runner.security.decision import Place


def accepts(
    rule: str, message: str, *, policy: Place | None = None, subject: Place | None = None
) -> Step:
    """Return the answer of a rule that lets a request pass."""
    return Step(rule, accepted=True, message=message, policy=policy, subject=subject)


def refuses(
    rule: str,
    reason: str,
    message: str,
    *,
    policy: Place | None = None,
    subject: Place | None = None,
    hint: str | None = None,
) -> Step:
    """Return the answer of a rule that refuses, with a stable reason and the mend."""
    return Step(
        rule,
        accepted=False,
        message=message,
        reason=reason,
        policy=policy,
        subject=subject,
        hint=hint,
    )
