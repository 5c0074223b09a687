# SPDX-License-Identifier: Apache-2.0
"""Who may do what where: a whole table written by hand, and the rules one by one."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmar_runner.security.policy.authorization import ACTIONS, CONTENTS, authorize
from mmar_runner.security.policy.authorization_file import (
    RIGHTS,
    RULES,
    Authorization,
    Definition,
    Group,
    User,
    load_authorization,
)

OWN = Path(__file__).parents[3] / "assets" / "policies" / "authorization.json"
CORPUS = Path(os.environ.get("MMAR_CORPUS", "no-such-folder")) / "authorization.json"
NAMES = {
    "own": (
        ("root@hub.org", "lead@north.org", "res@south.org", "keeper@vault.org"),
        ("server", "north-1", "north-2", "south-1", "vault-1"),
    ),
    "corpus": (
        ("admin@admin.com", "leadIT@org1.com", "siteresearcher@org2.com", "leadIT@secure.com"),
        ("server", "client1", "client2", "client3", "client4"),
    ),
}
#: Derived by hand from the file. A row is a user and an action; a column a site.
TABLE = """
super       upload            y y y y y
super       deploy            y y y y y
super       train             y y y y y
super       view              y y y y y
super       operate           y y y y y
super       run               y y y y y
super       byoc              y y y n y
super       custom_datalist   y y y n y
lead        upload            y y y y n
lead        deploy            y y y y n
lead        train             y y y y n
lead        view              y y y y n
lead        operate           y y y y n
lead        run               y y y y n
lead        byoc              y y y n y
lead        custom_datalist   y y y n y
researcher  upload            y y y y n
researcher  deploy            n n n n n
researcher  train             n n n y n
researcher  view              n n n y n
researcher  operate           n n n n n
researcher  run               n n n n n
researcher  byoc              y y y n y
researcher  custom_datalist   y y y n y
keeper      upload            n n n n y
keeper      deploy            n n n n y
keeper      train             n n n n y
keeper      view              n n n n y
keeper      operate           n n n n y
keeper      run               n n n n y
keeper      byoc              y y y n y
keeper      custom_datalist   y y y n y
"""
ROWS = [line.split() for line in TABLE.strip().splitlines()]
USERS = ("super", "lead", "researcher", "keeper")
CASES = [
    pytest.param(USERS.index(user), action, site, answer == "y", id=f"{user}-{action}-{site}")
    for user, action, *answers in ROWS
    for site, answer in enumerate(answers)
]


def accepted(steps):
    assert steps
    return all(step.accepted for step in steps)


def test_the_table_is_whole():
    assert len(ROWS) == len(USERS) * (len(ACTIONS) + len(CONTENTS))
    assert {row[1] for row in ROWS} == ACTIONS.keys() | CONTENTS.keys()


@pytest.mark.parametrize("which", ["own", "corpus"])
@pytest.mark.parametrize(("user", "action", "site", "expected"), CASES)
def test_every_user_action_and_site(which, user, action, site, expected):
    path = OWN if which == "own" else CORPUS
    if not path.is_file():
        pytest.skip("MMAR_CORPUS names no folder with an authorization.json")
    users, sites = NAMES[which]

    steps = authorize(load_authorization(path), users[user], action, sites[site])

    assert accepted(steps) is expected


def project(*, rights=None, rules=None, user_org="a", roles=("r",), definitions=None):
    """Return a project with one site of the organisation a, whose groups are g, h, ..."""
    groups = {
        f"g{i}": Group(rule or {}, {"r": right or {}})
        for i, (right, rule) in enumerate(zip(rights or [{}], rules or [{}], strict=True))
    }
    return Authorization(
        groups=groups,
        orgs={"a": tuple(groups), "b": ("g0",)},
        users={"u": User(user_org, roles)},
        sites={"server": "a"},
        rights={**RIGHTS, **(definitions or {})},
        rules=dict(RULES),
    )


def may(authorization, action="deploy"):
    return accepted(authorize(authorization, "u", action, "server"))


def test_one_group_that_says_yes_is_enough():
    both = project(rights=[{"deploy_all": False}, {"deploy_all": True}], rules=[{}, {}])
    assert may(both)
    assert not may(project(rights=[{"deploy_all": False}, {}], rules=[{}, {}]))


def test_one_group_that_lets_code_in_is_enough():
    for rules in ([{"allow_byoc": False}, {"allow_byoc": True}], [{"allow_byoc": True}, {}]):
        assert may(project(rules=rules, rights=[{}, {}]), "byoc")
    assert not may(project(rules=[{"allow_byoc": False}, {}], rights=[{}, {}]), "byoc")


def test_an_explicit_no_beats_the_default():
    assert may(project(), "upload")
    assert not may(project(rights=[{"upload_mmar": False}]), "upload")


def test_a_right_for_oneself_holds_only_in_ones_own_organisation():
    rights = [{"deploy_self": True}]
    assert may(project(rights=rights))
    assert not may(project(rights=rights, user_org="b"))


def test_super_has_every_right_but_no_rule():
    root = project(roles=("super",), rules=[{"allow_byoc": False}], rights=[{"train_all": False}])

    assert all(may(root, action) for action in ACTIONS)
    (refusal,) = authorize(root, "u", "byoc", "server")
    assert (refusal.rule, refusal.reason) == ("authorization.byoc", "BYOC_NOT_ALLOWED")


@pytest.mark.parametrize(("values", "expected"), [([0, 0], False), ([0, 3], True), ([], False)])
def test_a_number_above_zero_says_yes(values, expected):
    number = {"deploy_all": Definition(default=0, kind="int")}
    rights = [{"deploy_all": value} for value in values] or [{}]
    made = project(rights=rights, rules=[{} for _ in rights], definitions=number)
    assert may(made) is expected


def test_super_gets_no_number_that_nobody_gave():
    number = {"deploy_all": Definition(default=0, kind="int"), "deploy_self": Definition(default=0)}
    assert may(project(roles=("super",), definitions=number))  # by deploy_self
    number["deploy_self"] = Definition(default=0, kind="int")
    assert not may(project(roles=("super",), definitions=number))


def test_a_user_without_a_role_has_what_the_defaults_give():
    made = project(roles=())
    assert may(made, "view")
    assert not may(made, "deploy")


def test_an_unknown_action_is_a_mistake_of_the_program():
    with pytest.raises(ValueError, match="'fly'"):
        authorize(project(), "u", "fly", "server")


def test_a_refusal_says_where_it_is_written_and_what_would_change_it():
    steps = authorize(load_authorization(OWN), "res@south.org", "deploy", "north-1")

    (step,) = steps
    assert step.reason == "NOT_AUTHORIZED"
    assert '"north-1"' in step.message
    assert step.policy.pointer == "/orgs/north"
    assert step.policy.file == str(OWN)
    assert OWN.read_text().splitlines()[step.policy.line - 1].strip().startswith('"north"')
    assert "researcher the right deploy_all. " in step.hint  # deploy_self would not do
    assert step.hint.endswith("`mmar-runner provision PROJECT.yml --out DIR --authorization FILE`.")


def test_an_answer_points_at_the_value_that_decided():
    (step,) = authorize(load_authorization(OWN), "lead@north.org", "deploy", "south-1")
    assert step.policy.pointer == "/groups/usual/role_rights/lead/deploy_all"

    (rule,) = authorize(load_authorization(OWN), "root@hub.org", "byoc", "south-1")
    assert rule.policy.pointer == "/groups/closed/rules/allow_byoc"


ROLES, GROUPS, ORGS = ("super", "r1", "r2"), ("g1", "g2", "g3"), ("a", "b")
values = st.booleans()
groups = st.builds(
    Group,
    rules=st.dictionaries(st.sampled_from(sorted(RULES)), values),
    role_rights=st.dictionaries(
        st.sampled_from(ROLES), st.dictionaries(st.sampled_from(sorted(RIGHTS)), values)
    ),
)
projects = st.builds(
    Authorization,
    groups=st.fixed_dictionaries(dict.fromkeys(GROUPS, groups)),
    orgs=st.fixed_dictionaries(
        {org: st.lists(st.sampled_from(GROUPS), min_size=1, unique=True).map(tuple) for org in ORGS}
    ),
    users=st.fixed_dictionaries(
        {
            "u": st.builds(
                User,
                st.sampled_from(ORGS),
                st.lists(st.sampled_from(ROLES), unique=True).map(tuple),
            )
        }
    ),
    sites=st.fixed_dictionaries({"server": st.sampled_from(ORGS), "s": st.sampled_from(ORGS)}),
)
actions = st.sampled_from([*ACTIONS, *CONTENTS])


@given(projects, actions, st.randoms(use_true_random=False))
def test_the_order_of_groups_and_roles_does_not_matter(made, action, chance):
    orgs = {org: tuple(chance.sample(named, len(named))) for org, named in made.orgs.items()}
    user = made.users["u"]
    mixed = User(user.org, tuple(chance.sample(user.roles, len(user.roles))))
    other = Authorization(made.groups, orgs, {"u": mixed}, made.sites)

    first = authorize(made, "u", action, "s")
    second = authorize(other, "u", action, "s")

    assert [s.accepted for s in first] == [s.accepted for s in second]


@given(projects, actions, st.text().filter(lambda name: name not in {"u", "s", "server"}))
def test_whoever_is_not_known_is_refused_everything(made, action, name):
    assert not accepted(authorize(made, name, action, "s"))
    assert not accepted(authorize(made, "u", action, name))


@given(projects, st.sampled_from(sorted(CONTENTS)))
def test_no_role_changes_what_a_sites_rule_says(made, content):
    powerful = Authorization(
        made.groups, made.orgs, {"u": User("a", ROLES)}, made.sites, made.rights, made.rules
    )

    assert accepted(authorize(made, "u", content, "s")) == accepted(
        authorize(powerful, "u", content, "s")
    )


@given(projects, st.sampled_from(sorted(ACTIONS)))
def test_a_further_role_takes_nothing_away_where_nothing_is_denied(made, action):
    generous = {
        name: Group(
            group.rules,
            {
                role: {right: value for right, value in given.items() if value}
                for role, given in group.role_rights.items()
            },
        )
        for name, group in made.groups.items()
    }
    user = made.users["u"]
    before = Authorization(generous, made.orgs, {"u": user}, made.sites)
    more = User(user.org, tuple({*user.roles, *ROLES}))
    after = Authorization(generous, made.orgs, {"u": more}, made.sites)

    if accepted(authorize(before, "u", action, "s")):
        assert accepted(authorize(after, "u", action, "s"))


def test_the_same_question_has_the_same_answer_as_text(tmp_path):
    path = tmp_path / "authorization.json"
    path.write_text(json.dumps(json.loads(OWN.read_text())))
    one, two = load_authorization(OWN), load_authorization(path)
    assert one == two
