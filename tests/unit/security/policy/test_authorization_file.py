# SPDX-License-Identifier: Apache-2.0
"""Reading authorization.json: what is defined, what is overridden, what is refused where."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mmar_runner.errors import UsageError
from mmar_runner.security.policy.authorization_file import RIGHTS, RULES, load_authorization

OWN = Path(__file__).parents[3] / "assets" / "policies" / "authorization.json"


@pytest.fixture
def value():
    return json.loads(OWN.read_text())


@pytest.fixture
def load(tmp_path):
    path = tmp_path / "authorization.json"

    def write(value):
        path.write_text(json.dumps(value, indent=1))
        return load_authorization(path)

    return write


def refusal(load, value):
    with pytest.raises(UsageError) as caught:
        load(value)
    assert caught.value.reason == "POLICY_INVALID"
    return caught.value


def test_rights_and_rules_have_their_definitions():
    made = load_authorization(OWN)

    assert {name: d.default for name, d in made.rights.items() if d.default} == {
        "upload_mmar": True,
        "view_self": True,
    }
    assert {name for name, d in made.rights.items() if d.own_org} == {
        f"{action}_self" for action in ("deploy", "train", "view", "operate")
    }
    assert {name: d.default for name, d in made.rules.items()} == {
        "allow_byoc": False,
        "allow_custom_datalist": True,
    }
    assert (made.rights, made.rules) == (dict(RIGHTS), dict(RULES))


def test_a_file_defines_a_right_anew_key_by_key(load, value):
    value["groups"]["usual"]["role_rights"]["lead"]["deploy_all"] = 2
    value["rights"] = {"train_self": {"default": True}, "deploy_all": {"type": "int"}}
    value["rules"] = {"allow_byoc": {"default": True}}

    made = load(value)

    assert made.rights["train_self"].default is True
    assert made.rights["train_self"].own_org  # nobody took that away
    assert made.rights["deploy_all"].kind == "int"
    assert made.rules["allow_byoc"].default is True
    assert made.rights["deploy_all"].default == 0
    assert type(made.rights["deploy_all"].default) is int
    assert made.rights["train_all"].default is False


BROKEN = {
    "a right that is not defined": (
        ("groups", "usual", "role_rights", "lead", "trian_all"), True, "'train_all'"),
    "a rule that is not defined": (
        ("groups", "open", "rules", "allow_byoc_"), True, "'allow_byoc'"),
    "rights of a role that is not defined": (
        ("groups", "usual", "role_rights", "laed"), {}, "'lead'"),
    "a group that is not defined": (("orgs", "north", 1), "usuall", "'usual'"),
    "an org of a user that is not defined": (("users", "res@south.org", "org"), "suoth", "'south'"),
    "a role of a user that is not defined": (
        ("users", "res@south.org", "roles", 0), "reseacher", "'researcher'"),
    "an org of a site that is not defined": (("sites", "south-1"), "sauth", "'south'"),
    "a definition of no right": (("rights",), {"deploy_al": {}}, "'deploy_all'"),
    "a definition of no rule": (("rules",), {"fly": {}}, "Known:"),
    "a value that is a number": (
        ("groups", "usual", "role_rights", "lead", "train_all"), 1, "true or false"),
    "a default of another kind": (
        ("rights",), {"deploy_all": {"type": "int", "default": True}}, "a whole number"),
    "a value that is text": (("groups", "open", "rules", "allow_byoc"), "yes", "true or false"),
    "an org without a group": (("orgs", "north"), [], "is empty"),
    "a key that is not known": (("group",), {}, "unknown"),
    "another version": (("version",), "2.0", '"1.0"'),
    "an unknown precondition": (("rights",), {"deploy_all": {"precond": "any"}}, "selfOrg"),
}  # fmt: skip


@pytest.mark.parametrize(("path", "new", "says"), BROKEN.values(), ids=BROKEN)
def test_what_is_not_defined_is_refused_with_its_place(load, value, path, new, says):
    target = value
    for part in path[:-1]:
        target = target[part]
    target[path[-1]] = new

    error = refusal(load, value)

    assert "authorization.json:" in error.message
    pointer = "/" + "/".join(str(part) for part in path)
    assert pointer in f"{error.message} {error.hint}"
    assert says in f"{error.message} {error.hint}"


@pytest.mark.parametrize("key", ["version", "roles", "groups", "users", "orgs", "sites"])
def test_what_must_be_there_is_missed(load, value, key):
    del value[key]
    assert f"'{key}'" in refusal(load, value).message


UNDEFINED = {
    ("rights",): ({"deploy_al": {}}, "122:3", "right 'deploy_al'", "Did you mean 'deploy_all'?"),
    ("rules",): (
        {"fly": {}}, "122:3", "rule 'fly'", "Known: allow_byoc, allow_custom_datalist."),
    ("sites", "south-1"): ("xyz", "118:14", "org 'xyz'", "Known: north, south, hub, vault."),
    ("groups", "open", "rules", "x"): (
        True, "16:5", "rule 'x'", "Known: allow_byoc, allow_custom_datalist."),
    ("groups", "usual", "role_rights", "laed"): (
        {}, "49:5", "role 'laed'", "Did you mean 'lead'?"),
    ("groups", "usual", "role_rights", "lead", "trian_all"): (
        True, "36:6", "right 'trian_all'", "Did you mean 'train_all'?"),
    ("users", "res@south.org", "org"): (
        "xyz", "84:11", "org 'xyz'", "Known: north, south, hub, vault."),
    ("users", "res@south.org", "roles", 0): (
        "xyz", "86:5", "role 'xyz'", "Known: super, lead, researcher, it, keeper."),
    ("orgs", "north", 1): ("xyz", "99:4", "group 'xyz'", "Known: open, closed, usual, vault."),
}  # fmt: skip


@pytest.mark.parametrize("path", UNDEFINED, ids=str)
def test_what_is_not_defined_is_said_in_a_sentence_with_its_place(load, value, path):
    new, place, what, hint = UNDEFINED[path]
    target = value
    for part in path[:-1]:
        target = target[part]
    target[path[-1]] = new
    error = refusal(load, value)
    pointer = "/".join(map(str, path)) + ("/" + next(iter(new)) if len(path) == 1 else "")
    told = error.message.rpartition("authorization.json:")[2]
    assert told == f"{place} /{pointer}: The {what} is not defined."
    assert error.hint == hint


def test_every_fault_has_its_line_and_where_nothing_is_known_none_is_named(load, value):
    value["roles"] = {}
    value["users"] = {"a": {"org": "north", "roles": ["lead"]}}
    value["groups"] = {"usual": {"rules": {"allow_byoc": 3}, "role_rights": {}}}
    value["orgs"] = {"north": ["usual"]}
    value["sites"] = {"server": "north"}
    error = refusal(load, value)
    first, *faults = [line.replace("authorization.json", "|") for line in error.message.split("\n")]
    assert first.endswith("| has 2 faults:")
    assert [line.partition("|:")[2] for line in faults] == [
        "7:19 /groups/usual/rules/allow_byoc: 'allow_byoc' must be true or false.",
        "16:5 /users/a/roles/0: The role 'lead' is not defined. Known: none.",
    ]
    assert error.hint == "`mmar-runner schema authorization` prints what it may hold."


def test_the_server_is_a_site(load, value):
    del value["sites"]["server"]
    assert "'server' is missing" in refusal(load, value).message


def test_every_fault_is_named_at_once_in_order_of_place(load, value):
    value["orgs"]["north"].append("nowhere")
    value["users"]["res@south.org"]["org"] = "nowhere"
    value["groups"]["open"]["rules"]["allow_all"] = True
    value["version"] = "3"

    message = refusal(load, value).message

    assert "has 4 faults" in message
    lines = [int(line.split("authorization.json:")[1].split(":")[0])
             for line in message.splitlines()[1:]]  # fmt: skip
    assert lines == sorted(lines)
    assert len(lines) == 4


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[]", "object"),
        ("{", "1:2"),
        ('{"version": "1.0", "version": "1.0"}', "stands twice"),
        ('{"groups": 3, "users": [], "orgs": {"a": 1}}', "faults"),
        ("\ufeff{}", "1:1"),
    ],
)
def test_text_that_is_no_policy_is_refused(tmp_path, text, says):
    path = tmp_path / "authorization.json"
    path.write_text(text)

    with pytest.raises(UsageError, match=r"authorization\.json") as caught:
        load_authorization(path)

    assert says in caught.value.message


def test_bytes_that_are_no_text_and_files_that_are_not_there_are_refused(tmp_path):
    path = tmp_path / "authorization.json"
    with pytest.raises(UsageError, match="cannot be read"):
        load_authorization(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="not UTF-8"):
        load_authorization(path)
