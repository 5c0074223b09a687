# SPDX-License-Identifier: Apache-2.0
"""Whether somebody may order something at one place: the project's word, then the place's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mmar_runner.errors import NotAuthorizedError, UsageError
from mmar_runner.orders.commands import SHELL
from mmar_runner.security.policy.authorization_file import Authorization, Group, User
from mmar_runner.security.policy.orders import SHELL_COMMANDS, judge_order
from mmar_runner.security.policy.site_policy import SitePolicy, load_policy

LEAD, BOB = "lead@a.org", "bob@b.org"
AUTHORIZATION = Authorization(
    groups={"all": Group(role_rights={"lead": {"train_all": True, "view_all": True}})},
    orgs={"a.org": ("all",), "b.org": ("all",)},
    users={LEAD: User("a.org", ("lead",)), BOB: User("b.org", ("none",))},
    sites={"server": "a.org", "site-1": "a.org"},
)


def policy(folder: Path, **admin: Any) -> SitePolicy:
    path = folder / "site_policy.json"
    path.write_text(json.dumps({"version": 1, "admin": admin}))
    return load_policy(path)


def judged(own: SitePolicy | None = None, **facts: Any) -> Any:
    asked = {"user": LEAD, "command": "start", "right": "train", "site": "site-1"} | facts
    return judge_order(AUTHORIZATION, own, asked.pop("site"), **asked)


def reasons(decision: Any) -> list[str]:
    return [step.reason for step in decision.steps if not step.accepted]


def test_whoever_has_the_right_may(tmp_path: Path) -> None:
    assert judged().accepted
    assert judged(SitePolicy()).accepted
    judged(policy(tmp_path)).require()


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"user": BOB}, "NOT_AUTHORIZED"),
        ({"user": "x@y"}, "USER_UNKNOWN"),
        ({"user": "x@y", "right": ""}, "USER_UNKNOWN"),
        ({"site": "site-9"}, "SITE_UNKNOWN"),
        ({"right": "operate"}, "NOT_AUTHORIZED"),
        ({"right": "run"}, "NOT_AUTHORIZED"),
    ],
)
def test_whom_the_project_does_not_allow_it_may_not(facts: Any, reason: str) -> None:
    decision = judged(**facts)
    assert reason in reasons(decision)
    with pytest.raises(NotAuthorizedError) as refused:
        decision.require()
    assert refused.value.reason == reason


def test_what_needs_no_right_needs_a_user() -> None:
    assert judged(user=BOB, right="", command="list_mmars").accepted


def test_a_right_that_there_is_not_is_nobodys() -> None:
    with pytest.raises(ValueError, match="no action"):
        judged(right="everything")


def test_a_site_takes_orders_of_whom_it_names(tmp_path: Path) -> None:
    own = policy(tmp_path, accepted_names=["somebody@a.org"])
    assert reasons(judged(own)) == ["ADMIN_NOT_ACCEPTED"]
    assert judged(policy(tmp_path, accepted_names=[LEAD])).accepted


def test_a_site_that_names_nobody_takes_no_orders(tmp_path: Path) -> None:
    assert reasons(judged(policy(tmp_path, accepted_names=[]))) == ["ADMIN_NOT_ACCEPTED"]


def test_whom_a_site_names_has_no_right_by_that(tmp_path: Path) -> None:
    own = policy(tmp_path, accepted_names=[BOB])
    assert reasons(judged(own, user=BOB)) == ["NOT_AUTHORIZED"]


def test_a_site_refuses_a_command_whoever_orders_it(tmp_path: Path) -> None:
    own = policy(tmp_path, refused_commands=["start"])
    assert reasons(judged(own)) == ["COMMAND_REFUSED"]
    assert judged(own, command="abort").accepted


@pytest.mark.parametrize("command", sorted(SHELL_COMMANDS))
def test_looking_into_folders_is_refused_unless_the_place_says_so(
    tmp_path: Path, command: str
) -> None:
    asked = {"command": command, "right": "view"}
    assert reasons(judged(SitePolicy(), **asked)) == ["SHELL_REFUSED"]
    assert reasons(judged(policy(tmp_path), **asked)) == ["SHELL_REFUSED"]
    others = sorted(SHELL_COMMANDS - {command})
    own = policy(tmp_path, allowed_shell_cmds=others)
    assert reasons(judged(own, **asked)) == ["SHELL_REFUSED"]
    assert judged(policy(tmp_path, allowed_shell_cmds=[command]), **asked).accepted


def test_there_is_no_command_of_a_shell_that_is_not_asked_about() -> None:
    assert {spec.name for spec in SHELL} == SHELL_COMMANDS


def test_who_asks_ahead_for_another_place_leaves_that_place_its_word() -> None:
    """The server cannot know what a site says for itself."""
    assert judged(None, command="cat", right="view").accepted


def test_every_refusal_says_where_it_stands_and_how_it_is_mended(tmp_path: Path) -> None:
    own = policy(tmp_path, accepted_names=[], refused_commands=["cat"], allowed_shell_cmds=[])
    refused = [s for s in judged(own, command="cat", right="view").steps if not s.accepted]
    assert [step.reason for step in refused] == [
        "ADMIN_NOT_ACCEPTED",
        "COMMAND_REFUSED",
        "SHELL_REFUSED",
    ]
    for step in refused:
        assert "site_policy.json" in str(step.policy)
        assert step.hint


@pytest.mark.parametrize(
    "admin",
    [
        {"allowed_shell_cmds": ["rm"]},
        {"allowed_shell_cmd": ["cat"]},
        {"accepted_names": "lead@a.org"},
        {"refused_commands": [5]},
        {"accepted_names": ["a", "a"]},
    ],
)
def test_a_policy_that_is_wrong_is_refused_as_a_whole(tmp_path: Path, admin: Any) -> None:
    with pytest.raises(UsageError) as refused:
        policy(tmp_path, **admin)
    assert refused.value.reason == "POLICY_INVALID"
