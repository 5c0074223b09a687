# SPDX-License-Identifier: Apache-2.0
"""Rights as they are on the disk now, at every place that an order names."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mmar_runner.admin.entrance.access import Access
from mmar_runner.errors import NotAuthorizedError, OrderError
from mmar_runner.interfaces.admin_command import Targets
from mmar_runner.orders.commands import BUILT_IN
from mmar_runner.security.identity import Role
from mmar_runner.security.kits.kit import load_kit
from tests.attacks.resigned import put_authorization
from tests.attacks.two_orgs import ALICE, BOB, EVE, TwoOrgs, authorization


@pytest.fixture
def kit(two_orgs: TwoOrgs, tmp_path: Path) -> Path:
    return two_orgs.server_kit(f"access-{tmp_path.name}")


def access_of(kit: Path) -> Access:
    return Access(load_kit(kit, Role.SERVER, now=datetime.now(UTC)))


@pytest.fixture
def access(kit: Path) -> Access:
    return access_of(kit)


def asked(access: Access, user: str, command: str, targets: Targets, *present: str) -> Any:
    found = access.decisions(user, BUILT_IN[command], targets, present)
    return {decision.site: decision.accepted for decision in found}


def test_who_belongs_where(access: Access) -> None:
    assert (access.org_of(ALICE), access.org_of(BOB)) == ("a.org", "b.org")
    assert access.org_of("nobody@x.org") == ""


def test_who_sees_what_others_have(access: Access) -> None:
    assert access.sees_all(ALICE)
    assert not access.sees_all(BOB)
    assert not access.sees_all("nobody@x.org")


@pytest.mark.parametrize(
    ("client", "site"),
    [("site-1", "site-1"), ("site-1_2", "site-1"), ("site-9_2", "site-9_2"), ("_2", "_2")],
)
def test_whose_client_it_is(access: Access, client: str, site: str) -> None:
    assert access.site_of(client) == site


def test_every_place_is_asked_about(access: Access) -> None:
    everywhere = Targets(server=True, all_clients=True)
    found = asked(access, ALICE, "check_status", everywhere, "site-2", "site-1_2", "site-1")
    assert found == {"server": True, "site-1": True, "site-2": True}


def test_one_place_that_says_no_is_told(access: Access) -> None:
    both = Targets(clients=("site-1", "site-2"))
    assert asked(access, EVE, "check_status", both) == {"site-1": False, "site-2": True}


def test_a_client_that_there_is_not_is_nobodys(access: Access) -> None:
    assert asked(access, ALICE, "start", Targets(clients=("site-9",))) == {"site-9": False}
    assert asked(access, ALICE, "start", Targets(clients=("server",))) == {"server": True}


def test_a_run_that_waits_is_asked_about_at_the_server_too(access: Access) -> None:
    one = Targets(clients=("site-2",))
    assert asked(access, BOB, "enqueue", one) == {"server": True, "site-2": True}
    assert asked(access, EVE, "enqueue", one) == {"server": False, "site-2": False}
    nobody_is_there = Targets(all_clients=True)
    assert asked(access, EVE, "enqueue", nobody_is_there) == {"server": False}


def test_nobody_but_users_comes_in(access: Access) -> None:
    access.require_accepted(EVE)
    with pytest.raises(NotAuthorizedError) as refused:
        access.require_accepted("nobody@x.org")
    assert refused.value.reason == "USER_UNKNOWN"


def test_the_servers_own_policy_may_let_in_fewer(kit: Path) -> None:
    path = kit / "site_policy.json"
    path.write_text(json.dumps({"version": 1, "admin": {"accepted_names": [ALICE]}}))
    access = access_of(kit)
    access.require_accepted(ALICE)
    with pytest.raises(NotAuthorizedError) as refused:
        access.require_accepted(BOB)
    assert refused.value.reason == "ADMIN_NOT_ACCEPTED"
    path.write_text(json.dumps({"version": 1}))
    access.require_accepted(BOB)


def test_the_servers_policy_is_not_that_of_sites(kit: Path) -> None:
    path = kit / "site_policy.json"
    path.write_text(json.dumps({"version": 1, "admin": {"refused_commands": ["start"]}}))
    found = asked(access_of(kit), ALICE, "start", Targets(server=True, all_clients=True), "site-1")
    assert found == {"server": False, "site-1": True}


def roles(two_orgs: TwoOrgs, kit: Path, *, sign: bool = True, **given: str) -> None:
    put_authorization(kit, Role.SERVER, authorization(**given), two_orgs.authority, sign=sign)


def test_a_policy_that_was_signed_anew_counts_from_the_next_look_on(
    two_orgs: TwoOrgs, kit: Path, access: Access
) -> None:
    assert not access.sees_all(EVE)
    roles(two_orgs, kit, eve="lead")
    assert access.sees_all(EVE)
    roles(two_orgs, kit)
    assert not access.sees_all(EVE)


def test_a_policy_that_nobody_signed_changes_nothing_and_is_told_once(
    two_orgs: TwoOrgs, kit: Path, access: Access, caplog: pytest.LogCaptureFixture
) -> None:
    roles(two_orgs, kit, sign=False, eve="lead")
    with caplog.at_level(logging.WARNING):
        assert [access.sees_all(EVE) for _ in range(3)] == [False] * 3
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 1
    assert "stays as it was" in told[0]


@pytest.mark.parametrize("data", [b"", b"{", b'{"version": "1.0"}', None])
def test_a_policy_that_breaks_changes_nothing_until_it_is_mended(
    two_orgs: TwoOrgs, kit: Path, access: Access, data: bytes | None
) -> None:
    path = kit / "authorization.json"
    path.unlink() if data is None else path.write_bytes(data)
    assert access.sees_all(ALICE)
    assert not access.sees_all(EVE)
    roles(two_orgs, kit, eve="lead")
    assert access.sees_all(EVE)


def test_an_unknown_right_or_rule_is_told(access: Access) -> None:
    with pytest.raises(OrderError) as refused:
        access.steps("site-1", ALICE, "everything\x1b[2J")
    assert refused.value.reason == "ACTION_UNKNOWN"
    assert refused.value.message.isprintable()
    assert access.steps("site-1", ALICE, "train")[0].accepted
    assert not access.steps("site-1", "", "allow_byoc")[0].accepted
