# SPDX-License-Identifier: Apache-2.0
"""The one decision: what is asked, in which order, and that nothing passes unasked."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmar_runner.errors import NotAuthorizedError, SignatureError
from mmar_runner.security.decision import Place
from mmar_runner.security.policy.authorization import ACTIONS
from mmar_runner.security.policy.authorization_file import load_authorization
from mmar_runner.security.policy.judgement import MmarRequest, Policies, judge
from mmar_runner.security.policy.mmar_facts import MmarFacts
from mmar_runner.security.policy.own_filters import FilterFault
from mmar_runner.security.policy.site_policy import SitePolicy, load_policy
from mmar_runner.security.steps import accepts, refuses

PROJECT = load_authorization(Path(__file__).parents[3] / "assets/policies/authorization.json")
ROOT, LEAD, RESEARCHER = "root@hub.org", "lead@north.org", "res@south.org"
DIGEST = "a" * 64
DEFAULTS = SitePolicy()
PLAIN = MmarFacts("job", DIGEST)
WHERE = Place("config/config_train.json", 3, 4, "/train/model/path")
SIGNED = (accepts("signature.threshold", "Enough."),)


def ask(facts=PLAIN, *, users=(LEAD,), action="deploy", site="north-1", origin="delivered",
        signed=SIGNED, policy=DEFAULTS, project=PROJECT):  # fmt: skip
    request = MmarRequest(action, tuple(users), site, origin, facts, tuple(signed))
    return judge(request, Policies(project, policy))


def reasons(decision):
    return [step.reason for step in decision.refusals]


def test_a_plain_mmar_of_a_lead_is_accepted_and_every_rule_answers():
    decision = ask()

    assert decision.accepted
    assert (decision.action, decision.site, decision.users) == ("deploy", "north-1", (LEAD,))
    assert decision.digest == DIGEST
    assert [step.rule for step in decision.steps] == [
        "signature.threshold",
        "authorization.deploy",
        "site_policy.blocked_digests",
        "site_policy.byoc",
        "site_policy.expressions",
        "site_policy.allow_custom_datalist",
        "site_policy.allowed_path_prefixes",
        "site_policy.data_folders",
    ]
    decision.require()


def test_without_an_authorization_everything_is_refused():
    assert reasons(ask(project=None)) == ["AUTHORIZATION_MISSING"]


def test_without_anybody_everything_is_refused():
    assert reasons(ask(users=())) == ["USER_MISSING"]
    accepted = SitePolicy(accepted_digests=(DIGEST,))
    assert reasons(ask(users=(), policy=accepted)) == ["USER_MISSING"]  # it was delivered
    assert reasons(ask(users=(), policy=None, origin="local")) == ["USER_MISSING"]


def test_a_site_answers_for_its_own_folder_by_its_digest():
    policy = SitePolicy(accepted_digests=(DIGEST,), byoc="digest")
    code = replace(PLAIN, code=("custom/net.py",))

    assert ask(code, users=(), policy=policy, origin="local", action="run").accepted
    strict = ask(code, users=(), policy=policy, origin="local", action="run", site="south-1")
    assert reasons(strict) == ["BYOC_NOT_ALLOWED"]


def test_a_refused_signature_refuses_first():
    no = (refuses("signature.threshold", "THRESHOLD", "One of two."),)

    with pytest.raises(SignatureError) as caught:
        ask(signed=no, users=(RESEARCHER,)).require()

    assert caught.value.reason == "THRESHOLD"


def test_expressions_are_code_to_the_groups_and_have_a_key_of_the_site():
    facts = replace(PLAIN, expressions=(("$print(1)", WHERE), ("os.system", WHERE)))

    refused = ask(facts)
    assert reasons(refused) == ["EXPRESSIONS_NOT_ALLOWED", "EXPRESSIONS_NOT_ALLOWED"]
    assert refused.refusals[0].subject == WHERE
    assert "'os.system'" in refused.refusals[1].message
    assert reasons(ask(facts, policy=SitePolicy(byoc="allow"))) == reasons(refused)
    assert ask(facts, policy=SitePolicy(expressions="allow")).accepted
    known = SitePolicy(expressions="digest", accepted_digests=(DIGEST,))
    assert ask(facts, policy=known).accepted
    assert reasons(ask(facts, policy=SitePolicy(expressions="digest"))) == reasons(refused)
    allowed = SitePolicy(expressions="allow")
    closed = ask(facts, site="south-1", users=(ROOT,), policy=allowed)
    assert [step.rule for step in closed.refusals] == ["authorization.byoc"]


def test_code_needs_the_groups_and_the_site():
    code = replace(PLAIN, code=("config/sly.py",))

    assert reasons(ask(code)) == ["BYOC_NOT_ALLOWED"]
    assert ask(code).refusals[0].subject == Place("config/sly.py")
    assert ask(code, policy=SitePolicy(byoc="allow")).accepted
    assert reasons(ask(code, policy=SitePolicy(byoc="digest"))) == ["DIGEST_NOT_ACCEPTED"]
    known = SitePolicy(byoc="digest", accepted_digests=(DIGEST,))
    assert ask(code, policy=known).accepted
    closed = ask(code, site="south-1", users=(ROOT,), policy=SitePolicy(byoc="allow"))
    assert [step.rule for step in closed.refusals] == ["authorization.byoc"]
    assert ask(code, action="view", policy=SitePolicy()).accepted  # brings nothing anywhere


def test_a_data_list_needs_the_groups_and_the_site():
    listed = replace(PLAIN, datalists=(Place("data.json"),))

    assert reasons(ask(listed)) == ["DATALIST_NOT_ALLOWED"]
    assert ask(listed, policy=SitePolicy(allow_custom_datalist=True)).accepted
    both = ask(listed, site="south-1")
    assert [s.rule for s in both.refusals] == [
        "authorization.custom_datalist",
        "site_policy.allow_custom_datalist",
    ]


def test_a_class_path_needs_its_prefix_and_its_place_is_told():
    named = replace(PLAIN, class_paths=(("os.system", WHERE), ("torch.optim.SGD", WHERE)))

    decision = ask(named, policy=SitePolicy(allowed_path_prefixes=("torch.optim.",)))

    (step,) = decision.refusals
    assert (step.reason, step.subject) == ("COMPONENT_NOT_ALLOWED", WHERE)
    assert "'os.system'" in step.message
    with pytest.raises(NotAuthorizedError):
        decision.require()


@pytest.mark.parametrize(
    ("text", "folders", "accepted"),
    [
        ("/data/a/b.nii", ("/data",), True),
        ("/data", ("/data/",), True),
        ("/", ("/",), True),
        ("/database/x", ("/data",), False),
        ("/data/../etc/passwd", ("/data",), False),
        ("//data/x", ("/data",), True),
        ("/etc/passwd", (), False),
        ("../../etc/passwd", ("/",), False),
        ("a/../../b", ("/",), False),
        ("a/../b", (), True),
        ("file:///data/x", ("/data", "/"), False),
        ("https://example.org/x", ("/",), False),
        ("zip+file://x", ("/",), False),
        ("/data/\0x", ("/data",), False),
        ("C:\\data", ("/",), False),
        ("\\\\host\\share", ("/",), False),
        ("..\\..\\x", ("/",), False),
        ("~/x", ("/",), False),
        ("$HOME/x", ("/",), False),
        (" /data/x", ("/data",), False),
    ],
)
def test_an_argument_stays_inside_or_in_a_folder_of_the_site(text, folders, accepted):
    facts = replace(PLAIN, path_arguments=((text, WHERE),))

    decision = ask(facts, policy=SitePolicy(data_folders=folders))

    assert decision.accepted is accepted
    assert accepted or reasons(decision) == ["PATH_ARGUMENT"]
    assert all("\0" not in step.message for step in decision.steps)


def test_a_blocked_digest_is_refused_even_if_it_is_accepted():
    policy = SitePolicy(blocked_digests=(DIGEST,), accepted_digests=(DIGEST,))
    assert reasons(ask(policy=policy)) == ["DIGEST_BLOCKED"]


def test_the_sites_own_filters_are_told():
    policy = SitePolicy(mandatory_filters={"outbound": ({"name": "Clip", "args": {}},)})
    last = ask(policy=policy).steps[-1]
    assert last.accepted
    assert "Clip" in last.message


def test_where_something_is_wrong_with_the_sites_own_filters_nothing_is_accepted():
    filters = ({"name": "Clip", "args": {}}, {"name": "Noise", "args": {"sigm": 1}})
    policy = SitePolicy(mandatory_filters={"outbound": filters})
    request = MmarRequest("deploy", (LEAD,), "north-1", "delivered", PLAIN, SIGNED)
    faults = (
        FilterFault("outbound", (0,), "COMPONENT_NOT_FOUND", "It is not here.", "Install it."),
        FilterFault("outbound", (1, "args", "sigm"), "COMPONENT_ARGUMENTS", "'sigm' is unknown."),
    )

    refusals = judge(request, Policies(PROJECT, policy, faults)).refusals

    assert {step.rule for step in refusals} == {"site_policy.mandatory_filters"}
    assert [(step.reason, step.message, step.hint) for step in refusals] == [
        ("COMPONENT_NOT_FOUND", "It is not here.", "Install it."),
        ("COMPONENT_ARGUMENTS", "'sigm' is unknown.", None),
    ]


def test_every_rule_of_a_site_says_where_it_is_written(tmp_path):
    path = tmp_path / "site_policy.json"
    value = {
        "version": 1,
        "blocked_digests": ["b" * 64, "c" * 64],
        "accepted_digests": ["d" * 64, "e" * 64],
        "byoc": "digest",
        "expressions": "digest",
        "allow_custom_datalist": False,
        "allowed_path_prefixes": ["torch.nn."],
        "data_folders": ["/data"],
        "mandatory_filters": {"inbound": ["Clip"]},
    }
    path.write_text(json.dumps(value))
    policy = load_policy(path)
    for facts in (
        PLAIN,
        replace(
            PLAIN,
            datalists=(WHERE,),
            class_paths=(("os.system", WHERE),),
            path_arguments=(("/etc", WHERE),),
            expressions=(("$print(1)", WHERE),),
        ),
    ):
        steps = [s for s in ask(facts, policy=policy).steps if s.rule.startswith("site_policy.")]
        assert [s.policy.pointer.split("/")[1] for s in steps] == [
            s.rule.removeprefix("site_policy.") for s in steps
        ]
        assert len(steps) == 7
    code = replace(PLAIN, code=("custom/net.py",))
    for digest, pointer in (
        ("a", "/accepted_digests"),
        ("e", "/accepted_digests/1"),
        ("c", "/blocked_digests/1"),
    ):
        decision = ask(replace(code, digest=digest * 64), policy=policy, users=(ROOT,))
        assert pointer in [step.policy.pointer for step in decision.steps if step.policy]


def test_a_class_path_that_is_nearly_allowed_is_told_so():
    policy = SitePolicy(allowed_path_prefixes=("torch.optim.SGD",))
    named = replace(PLAIN, class_paths=(("torch.optim.SGF", WHERE), ("os.system", WHERE)))
    adds = "A site adds it to allowed_path_prefixes; or use a registered name."
    assert [step.hint for step in ask(named, policy=policy).refusals] == [
        f"Did you mean 'torch.optim.SGD'? {adds}",
        adds,
    ]


def test_of_several_signers_so_many_need_the_right_as_the_site_asks_for():
    two = SitePolicy(signatures={"mmar": 2, "byoc": 2})

    assert ask(users=(LEAD, RESEARCHER)).accepted
    assert reasons(ask(users=(LEAD, RESEARCHER), policy=two)) == ["NOT_AUTHORIZED"]
    assert ask(users=(LEAD, ROOT, RESEARCHER), policy=two).accepted
    assert reasons(ask(users=(LEAD, RESEARCHER), signed=())) == ["NOT_AUTHORIZED"]


def test_code_needs_as_many_signers_with_the_right_as_the_site_asks_for_code():
    policy = SitePolicy(signatures={"mmar": 1, "byoc": 2}, byoc="allow")
    code = replace(PLAIN, code=("custom/net.py",))
    assert ask(users=(LEAD, RESEARCHER), policy=policy).accepted
    assert reasons(ask(code, users=(LEAD, RESEARCHER), policy=policy)) == ["NOT_AUTHORIZED"]
    assert ask(code, users=(LEAD, ROOT), policy=policy).accepted
    few = SitePolicy(signatures={"mmar": 2, "byoc": 1}, byoc="allow")
    assert ask(code, users=(LEAD, RESEARCHER), policy=few).accepted


def test_a_digest_that_answers_for_a_folder_is_pointed_at(tmp_path):
    path = tmp_path / "site_policy.json"
    path.write_text(json.dumps({"version": 1, "accepted_digests": ["b" * 64, DIGEST]}))
    first = ask(users=(), policy=load_policy(path), origin="local", signed=()).steps[0]
    assert first.policy.pointer == "/accepted_digests/1"


def test_whoever_may_only_train_has_not_the_right_to_run():
    both = ask(users=(LEAD, RESEARCHER), action="run", site="south-1")
    assert both.accepted
    spare = both.steps[3]
    assert (spare.rule, spare.reason) == ("authorization.user", "")
    assert spare.message.startswith(f"The signature of {RESEARCHER} does not count: {RESEARCHER} (")
    two = SitePolicy(signatures={"mmar": 2, "byoc": 2})
    assert reasons(ask(users=(LEAD, RESEARCHER), action="run", site="south-1", policy=two)) == [
        "NOT_AUTHORIZED"
    ]


def test_the_first_answer_about_a_sites_own_folder_is_under_its_rule():
    policy = SitePolicy(accepted_digests=(DIGEST,))
    first = ask(users=(), policy=policy, origin="local", signed=()).steps[0]
    assert (first.rule, first.accepted) == ("authorization.user", True)
    (refusal,) = ask(users=(), signed=()).refusals
    assert refusal.rule == "authorization.user"
    assert refusal.hint.startswith("An administrator signs it")


def test_a_direction_without_a_filter_of_the_sites_is_not_told():
    policy = SitePolicy(mandatory_filters={"outbound": (), "inbound": ({"name": "Clip"},)})
    told = [s.message for s in ask(policy=policy).steps if s.rule.endswith("mandatory_filters")]
    assert told == ["After an MMAR's own inbound filters the site runs Clip."]


def test_to_run_needs_a_right_to_deploy_and_one_to_train():
    assert [s.rule for s in ask(action="run").steps[1:3]] == [
        "authorization.deploy",
        "authorization.train",
    ]


def test_those_who_ask_are_named_once_and_in_order():
    names = [f"{letter}@x.org" for letter in "fbdacegh"]
    assert ask(users=(*names, *names)).users == tuple(sorted(names))


def test_an_unknown_site_is_said_once():
    code = replace(PLAIN, code=("custom/a.py",))
    assert reasons(ask(code, site="west", policy=None)) == ["SITE_UNKNOWN"]


def test_an_unknown_action_is_a_mistake_of_the_program():
    with pytest.raises(ValueError, match="'byoc'"):
        ask(action="byoc")


facts = st.builds(
    MmarFacts,
    name=st.just("job"),
    digest=st.sampled_from([DIGEST, "b" * 64]),
    code=st.sampled_from([(), ("custom/a.py",)]),
    datalists=st.sampled_from([(), (WHERE,)]),
    class_paths=st.lists(
        st.tuples(st.sampled_from(["os.system", "torch.nn.ReLU"]), st.just(WHERE))
    ).map(tuple),
    path_arguments=st.lists(st.tuples(st.sampled_from(["/etc", "/data/x"]), st.just(WHERE))).map(
        tuple
    ),
)
policies = st.builds(
    SitePolicy,
    allowed_path_prefixes=st.sampled_from([(), ("torch.",)]),
    byoc=st.sampled_from(["refuse", "digest", "allow"]),
    accepted_digests=st.sampled_from([(), (DIGEST,)]),
    blocked_digests=st.sampled_from([(), (DIGEST,)]),
    data_folders=st.sampled_from([(), ("/data",)]),
    allow_custom_datalist=st.booleans(),
)
bringing = st.sampled_from(["upload", "deploy", "run"])


@given(facts, policies, bringing, st.sampled_from(sorted(PROJECT.sites)))
def test_nobody_however_powerful_gets_past_a_rule_of_the_site(brought, policy, action, site):
    by_root = ask(brought, users=(ROOT,), action=action, site=site, policy=policy)
    by_other = ask(brought, users=(RESEARCHER,), action=action, site=site, policy=policy)

    def rules(decision):
        own = ("site_policy.", "authorization.byoc", "authorization.custom_datalist")
        return [step for step in decision.refusals if step.rule.startswith(own)]

    assert rules(by_root) == rules(by_other)
    assert by_root.accepted is not bool(rules(by_root))


@given(facts, policies, bringing)
def test_what_a_site_blocks_is_never_accepted(brought, policy, action):
    blocking = replace(policy, blocked_digests=(brought.digest,))
    assert not ask(brought, users=(ROOT,), action=action, policy=blocking).accepted


@given(facts, policies, st.sampled_from(sorted(ACTIONS)), st.text(max_size=20))
def test_a_user_who_is_not_known_is_always_refused(brought, policy, action, name):
    if name not in PROJECT.users:
        assert not ask(brought, users=(name,), action=action, policy=policy).accepted


@given(facts, policies, bringing)
def test_the_same_question_has_the_same_answer(brought, policy, action):
    assert ask(brought, policy=policy, action=action) == ask(brought, policy=policy, action=action)
