# SPDX-License-Identifier: Apache-2.0
"""What the project's authorization answers, word for word, with where it is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmar_runner.security.policy.authorization import authorize
from mmar_runner.security.policy.authorization_file import (
    RIGHTS,
    RULES,
    Authorization,
    Group,
    User,
    load_authorization,
)

OWN = Path(__file__).parents[3] / "assets" / "policies" / "authorization.json"

RESEARCHER = "res@south.org (south: researcher)"
GIVEN_BY = (
    "Whoever provisions the project gives that file: "
    "`mmar-runner provision PROJECT.yml --out DIR --authorization FILE`."
)
NOTHING = "no group says anything of {}, whose default is false"


def _lines(*question):
    """Return rule, reason, pointer, message and hint of every step."""
    return [
        (step.rule, step.reason, step.policy.pointer, step.message, step.hint)
        for step in authorize(load_authorization(OWN), *question)
    ]


def test_a_role_that_has_every_right():
    who = "root@hub.org (hub: super) may {} on"
    why = "\"north-1\" (north): the role 'super' has every right."
    assert _lines("root@hub.org", "run", "north-1") == [
        (
            f"authorization.{verb}",
            "",
            "/users/root@hub.org/roles",
            f"{who.format(verb)} {why}",
            None,
        )
        for verb in ("deploy", "train")
    ]


def test_a_right_that_a_group_gives():
    assert _lines("lead@north.org", "deploy", "north-1") == [
        (
            "authorization.deploy",
            "",
            "/groups/usual/role_rights/lead/deploy_all",
            (
                "lead@north.org (north: lead) may deploy on \"north-1\" (north): the group 'usual' "
                "gives the role 'lead' deploy_all."
            ),
            None,
        )
    ]


def test_a_right_that_a_group_denies():
    assert _lines("res@south.org", "upload", "vault-1") == [
        (
            "authorization.upload",
            "NOT_AUTHORIZED",
            "/groups/vault/role_rights/researcher/upload_mmar",
            (
                f'{RESEARCHER} is not authorized to upload to "vault-1" (vault): the group '
                "'vault' denies the role 'researcher' upload_mmar."
            ),
            (
                "A group of vault (open, vault) would have to give the role researcher the right "
                f"upload_mmar. {GIVEN_BY}"
            ),
        )
    ]


def test_rights_of_which_nobody_says_anything():
    assert _lines("res@south.org", "deploy", "south-1") == [
        (
            "authorization.deploy",
            "NOT_AUTHORIZED",
            "/orgs/south",
            (
                f'{RESEARCHER} is not authorized to deploy on "south-1" (south): '
                f"{NOTHING.format('deploy_all')}; {NOTHING.format('deploy_self')}."
            ),
            (
                "A group of south (closed, usual) would have to give the role researcher the right "
                f"deploy_all or deploy_self. {GIVEN_BY}"
            ),
        )
    ]
    assert _lines("lead@north.org", "upload", "server") == [
        (
            "authorization.upload",
            "",
            "/orgs/hub",
            (
                'lead@north.org (north: lead) may upload to "server" (hub): no group says '
                "anything of upload_mmar, whose default is true."
            ),
            None,
        )
    ]


def test_a_right_that_holds_only_at_home():
    assert _lines("res@south.org", "train", "north-1") == [
        (
            "authorization.train",
            "NOT_AUTHORIZED",
            "/orgs/north",
            (
                f'{RESEARCHER} is not authorized to train on "north-1" (north): '
                f"{NOTHING.format('train_all')}; train_self holds only at sites of south."
            ),
            (
                "A group of north (open, usual) would have to give the role researcher the right "
                f"train_all. {GIVEN_BY}"
            ),
        )
    ]


def test_what_a_site_lets_in():
    assert _lines("lead@north.org", "byoc", "north-1") == [
        (
            "authorization.byoc",
            "",
            "/groups/open/rules/allow_byoc",
            (
                'The MMAR contains custom code, which is allowed on "north-1" (north): the group '
                "'open' says \"allow_byoc\": true."
            ),
            None,
        )
    ]
    assert _lines("res@south.org", "custom_datalist", "south-1") == [
        (
            "authorization.custom_datalist",
            "DATALIST_NOT_ALLOWED",
            "/groups/closed/rules/allow_custom_datalist",
            (
                'The MMAR contains a custom data list, which is not allowed on "south-1" (south): '
                "the group 'closed' says \"allow_custom_datalist\": false."
            ),
            (
                'A group of south (closed, usual) would have to say "allow_custom_datalist": true; '
                f"no right of a user replaces it. {GIVEN_BY}"
            ),
        )
    ]


@pytest.mark.parametrize(
    ("user", "site", "near"),
    [
        # A name much like another's may be a new one all the same, as site-4 is after site-3.
        (
            "led@north.org",
            "nroth-1",
            (" Did you mean 'lead@north.org'?", " Did you mean 'north-1'?"),
        ),
        ("who", "there", ("", "")),
    ],
)
def test_names_that_the_project_does_not_know(user, site, near):
    assert _lines(user, "view", site) == [
        (
            f"authorization.{what}",
            f"{what.upper()}_UNKNOWN",
            f"/{what}s",
            f"{name!r} is not a {what} of this project.",
            (
                f"If it is new, '{what}s' of authorization.json would have to name it. "
                f"{GIVEN_BY}{near}"
            ),
        )
        for what, name, near in zip(("user", "site"), (user, site), near, strict=True)
    ]


def test_without_a_file_there_is_no_place_and_without_a_role_none_is_named():
    made = Authorization(
        groups={"g": Group({}, {})},
        orgs={"a": ("g",)},
        users={"u": User("a", ())},
        sites={"server": "a"},
        rights=RIGHTS,
        rules=RULES,
    )
    (refusal,) = authorize(made, "u", "deploy", "server")
    assert refusal.policy is None
    assert refusal.message.startswith("u (a: no role) is not authorized")
    assert refusal.hint == (
        "A group of a (g) would have to give a role of the user's the right deploy_all or "
        f"deploy_self. {GIVEN_BY}"
    )
