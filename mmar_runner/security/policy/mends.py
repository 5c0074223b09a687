# SPDX-License-Identifier: Apache-2.0
"""Mends with the names of the case in them, to be called as they stand."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING

from mmar_runner.security.policy.site_rules import ACCEPT

if TYPE_CHECKING:
    from pathlib import Path

    from mmar_runner.security.decision import Decision, Step


def with_command(decision: Decision, kit: Path | None) -> Decision:
    """Return a decision whose hints name the command by which the site would accept it.

    Only refusals that it takes away name it.

    Args:
        decision: What the rules of a site say.
        kit: The folder of its start-up kit; None if that is not here.
    """
    folder = "KIT" if kit is None else shlex.quote(str(kit))
    command = f"`mmar-runner policy accept {decision.digest} --kit {folder}`"
    return replace(decision, steps=tuple(_named(step, command) for step in decision.steps))


def _named(step: Step, command: str) -> Step:
    if step.hint is None:
        return step
    return replace(step, hint=step.hint.replace(ACCEPT, command))
