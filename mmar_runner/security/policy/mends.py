# SPDX-License-Identifier: Apache-2.0
"""Mends with the names of the case in them, to be called as they stand."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from mmar_runner.security.policy.site_rules import BYOC

if TYPE_CHECKING:
    from pathlib import Path

    from mmar_runner.security.decision import Decision, Step

_UNNAMED: Final = "policy accept DIGEST --kit KIT"


def with_command(decision: Decision, kit: Path) -> Decision:
    """Return a decision whose hints name the command by which this site would accept it.

    Only refusals that it takes away name it.

    Args:
        decision: What the rules of the kit's owner say.
        kit: The folder of its start-up kit.
    """
    command = f"policy accept {decision.digest} --kit {shlex.quote(str(kit))}"
    return replace(decision, steps=tuple(_named(step, command) for step in decision.steps))


def _named(step: Step, command: str) -> Step:
    hint = step.hint or ""
    if _UNNAMED in hint:
        return replace(step, hint=hint.replace(_UNNAMED, command))
    if step.rule == BYOC and not step.accepted:
        accept = f"Once it has reviewed the code: `mmar-runner {command}`."
        return replace(step, hint=f"{hint} {accept}".lstrip())
    return step
