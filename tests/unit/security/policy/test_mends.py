# SPDX-License-Identifier: Apache-2.0
"""A mend names the command as it can be called, where it would help."""

from __future__ import annotations

from pathlib import Path

from mmar_runner.security.decision import Decision
from mmar_runner.security.policy.mends import with_command
from mmar_runner.security.steps import accepts, refuses

DIGEST = "d" * 64
COMMAND = f"`mmar-runner policy accept {DIGEST} --kit 'our kit'`"


def hints(*steps: object) -> list[str | None]:
    decision = Decision("run", "site-1", (), DIGEST, steps)  # type: ignore[arg-type]
    return [step.hint for step in with_command(decision, Path("our kit")).steps]


def test_a_command_that_is_named_is_filled_in() -> None:
    hint = "Review it: `mmar-runner policy accept DIGEST --kit KIT`."
    step = refuses("site_policy.byoc", "DIGEST_NOT_ACCEPTED", "No.", hint=hint)
    assert hints(step) == [f"Review it: {COMMAND}."]


def test_code_that_the_site_does_not_allow_can_be_accepted() -> None:
    step = refuses("site_policy.byoc", "BYOC_NOT_ALLOWED", "No.", hint="Install it.")
    (hint,) = hints(step)
    assert hint is not None
    assert hint.startswith("Install it. ")
    assert COMMAND in hint


def test_a_refusal_without_a_mend_gets_the_command_alone() -> None:
    step = refuses("site_policy.byoc", "BYOC_NOT_ALLOWED", "No.")
    assert hints(step) == [f"Once it has reviewed the code: {COMMAND}."]


def test_what_no_site_can_accept_names_no_command() -> None:
    step = refuses("authorization.byoc", "BYOC_NOT_ALLOWED", "No.", hint="Ask the project.")
    assert hints(step, accepts("site_policy.byoc", "Yes.")) == ["Ask the project.", None]
