# SPDX-License-Identifier: Apache-2.0
"""What a decision says as a whole, and which error it becomes."""

from __future__ import annotations

import pytest

from mmar_runner.errors import NotAuthorizedError, SignatureError
from mmar_runner.security.decision import Decision, Place, RulesRefusedError
from mmar_runner.security.steps import accepts, refuses


def _decision(*steps):
    return Decision("run", "site-1", ("ann@a.org",), "ab" * 32, steps)


@pytest.mark.parametrize(
    ("place", "text"),
    [
        (Place("policy.json"), "policy.json"),
        (Place("policy.json", 3), "policy.json:3:0"),
        (Place("policy.json", 3, 7), "policy.json:3:7"),
        (Place("policy.json", 3, 7, "/rules/0"), "policy.json:3:7 /rules/0"),
        (Place("policy.json", pointer="/rules"), "policy.json /rules"),
    ],
)
def test_a_place_is_said_as_far_as_it_is_known(place, text):
    assert str(place) == text


def test_one_refusal_is_enough():
    yes, no = accepts("digest", "It is known."), refuses("byoc", "BYOC", "It brings code.")
    assert _decision(yes).accepted
    assert _decision().accepted
    assert _decision(yes).refusals == ()
    _decision(yes).require()
    assert not _decision(yes, no, yes).accepted
    assert _decision(yes, no, yes).refusals == (no,)


@pytest.mark.parametrize(
    ("rule", "kind"),
    [("signature.threshold", SignatureError), ("site.signature.", NotAuthorizedError)],
)
def test_the_first_refusal_becomes_the_error_and_all_are_its_cause(rule, kind):
    first = refuses(rule, "THRESHOLD", "Too few.", hint="Sign it.")
    second = refuses("byoc", "BYOC", "It brings code.")
    decision = _decision(first, accepts("x", "Fine."), second)
    with pytest.raises(kind) as caught:
        decision.require()
    error = caught.value
    assert type(error) is kind
    assert (error.message, error.hint, error.reason) == ("Too few.", "Sign it.", "THRESHOLD")
    assert isinstance(error.__cause__, RulesRefusedError)
    assert error.__cause__.decision is decision
    assert str(error.__cause__) == "Too few.; It brings code."


def test_a_step_has_what_its_rule_said():
    policy, subject = Place("p.json"), Place("m.json")
    step = refuses("byoc", "BYOC", "No.", policy=policy, subject=subject, hint="Ask.")
    assert (step.rule, step.reason, step.message) == ("byoc", "BYOC", "No.")
    assert (step.policy, step.subject, step.hint) == (policy, subject, "Ask.")
    step = accepts("byoc", "Yes.", policy=policy, subject=subject)
    assert (step.rule, step.reason, step.message) == ("byoc", "", "Yes.")
    assert (step.policy, step.subject, step.hint) == (policy, subject, None)
