# SPDX-License-Identifier: Apache-2.0
"""A mend names the command as it can be called, where it would help."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmar_runner.security.decision import Decision
from mmar_runner.security.policy.mends import with_command
from mmar_runner.security.policy.mmar_facts import MmarFacts
from mmar_runner.security.policy.site_policy import SitePolicy
from mmar_runner.security.policy.site_rules import ACCEPT, site_steps
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


def test_a_kit_that_is_elsewhere_is_not_named() -> None:
    step = refuses("site_policy.byoc", "DIGEST_NOT_ACCEPTED", "No.", hint=f"Review it: {ACCEPT}.")
    decision = Decision("run", "site-1", (), DIGEST, (step,))
    (named,) = with_command(decision, None).steps
    assert named.hint == f"Review it: `mmar-runner policy accept {DIGEST} --kit KIT`."


@pytest.mark.parametrize(
    ("policy", "hint"),
    [
        (SitePolicy(), f"Have it installed as a plugin; or the site reviews the code: {COMMAND}."),
        (SitePolicy(byoc="digest"), f"The site reviews the code: {COMMAND}."),
        (
            SitePolicy(byoc="allow", blocked_digests=(DIGEST,)),
            f"The site would have to take that back: {COMMAND}.",
        ),
    ],
)
def test_one_command_is_the_mend_of_all_that_it_takes_away(policy: SitePolicy, hint: str) -> None:
    facts = MmarFacts("job", DIGEST, code=("custom/net.py",))
    refused = [step for step in site_steps(facts, policy, ()) if not step.accepted]
    assert hints(*refused) == [hint]


def test_what_no_site_can_accept_names_no_command() -> None:
    step = refuses("authorization.byoc", "BYOC_NOT_ALLOWED", "No.", hint="Ask the project.")
    assert hints(step, accepts("site_policy.byoc", "Yes.")) == ["Ask the project.", None]
