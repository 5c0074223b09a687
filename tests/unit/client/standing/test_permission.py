# SPDX-License-Identifier: Apache-2.0
"""A site does what somebody ordered whom it knows, who may, once, and if it is meant."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mmar_runner.errors import MmarRunnerError, StorageError, UsageError
from mmar_runner.orders.commands import BUILT_IN, OF_A_CLIENT
from mmar_runner.security.identity import Role
from mmar_runner.security.pki.keys import new_release_key
from tests.attacks.resigned import put_authorization
from tests.unit.client.standing.conftest import BOB, LEAD

STATUS = ("check_status", "client", "site-1")
DAY = timedelta(days=1)


def reason(permission: Any, order: bytes) -> str:
    with pytest.raises(MmarRunnerError) as refused:
        permission.require(order)
    assert refused.value.message.isprintable()
    return str(refused.value.reason)


@pytest.mark.parametrize(
    "words",
    [
        STATUS,
        ("check_status", "client"),
        ("check_status", "all"),
        ("start", "client", "site-2", "site-1"),
        ("start_mgpu", "client", "2", "site-1"),
        ("deploy", "study", "client", "site-1"),
        ("enqueue", "study", "client"),
        ("delete_run_number", "3", "all"),
        ("sys_info", "all"),
    ],
)
def test_what_is_meant_for_it_is_understood(site: Any, words: tuple[str, ...]) -> None:
    call = site.permission().require(site.order(*words))
    assert (call.spec.name, call.user) == (words[0], LEAD)


REFUSED = {
    "nobody_signed": (lambda s: b"{}", "FORMAT"),
    "a_stranger_signed": (lambda s: s.order(*STATUS, key=new_release_key()), "SIGNER_NOT_TRUSTED"),
    "another_signed": (
        lambda s: s.order(*STATUS, user="x@y", key=new_release_key()),
        "SIGNER_NOT_TRUSTED",
    ),
    "another_project": (lambda s: s.order(*STATUS, project="lung"), "WRONG_PROJECT"),
    "too_old": (lambda s: s.order(*STATUS, now=datetime.now(UTC) - DAY), "ORDER_EXPIRED"),
    "too_early": (lambda s: s.order(*STATUS, now=datetime.now(UTC) + DAY), "ORDER_TOO_EARLY"),
    "another_site": (lambda s: s.order("start", "client", "site-2"), "NOT_ADDRESSED"),
    "the_server_alone": (lambda s: s.order("start", "server"), "NOT_ADDRESSED"),
    "an_instance": (lambda s: s.order("start", "client", "site-1_2"), "NOT_ADDRESSED"),
    "no_right_here": (lambda s: s.order(*STATUS, user=BOB), "NOT_AUTHORIZED"),
    "no_command": (lambda s: s.order("rm", "-rf"), "COMMAND_UNKNOWN"),
    "a_command_of_a_plugin": (lambda s: s.order("my_command", "client"), "COMMAND_UNKNOWN"),
    "wrong_arguments": (lambda s: s.order("start_mgpu", "client", "0"), "USAGE"),
    "a_look_into_the_folder": (lambda s: s.order("cat", "site-1", "x"), "SHELL_REFUSED"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_each_refusal_has_its_reason(site: Any, case: str) -> None:
    make, expected = REFUSED[case]
    permission = site.permission()
    assert reason(permission, make(site)) == expected
    permission.require(site.order(*STATUS))


@pytest.mark.parametrize("name", sorted(set(BUILT_IN) - OF_A_CLIENT))
def test_a_command_that_is_none_of_a_clients_is_unknown_to_it(site: Any, name: str) -> None:
    assert reason(site.permission(), site.order(name, "client", "site-1")) == "COMMAND_UNKNOWN"


def test_an_instance_takes_its_own_orders_by_the_rights_at_its_site(site: Any) -> None:
    site.name = "site-1_2"
    permission = site.permission()
    permission.require(site.order("check_status", "client", "site-1_2"))
    permission.require(site.order("check_status", "client"))
    assert reason(permission, site.order(*STATUS)) == "NOT_ADDRESSED"


def test_an_order_counts_once_also_for_the_process_after_it(site: Any) -> None:
    order = site.order(*STATUS)
    permission = site.permission()
    permission.require(order)
    assert reason(permission, order) == "ORDER_REPLAYED"
    assert reason(site.permission(), order) == "ORDER_REPLAYED"


def test_an_order_that_was_refused_is_not_good_later(site: Any) -> None:
    """Whoever keeps it until the policy has changed gains nothing."""
    order, permission = site.order("cat", "site-1", "log.txt"), site.permission()
    assert reason(permission, order) == "SHELL_REFUSED"
    site.policy(allowed_shell_cmds=["cat"])
    assert reason(permission, order) == "ORDER_REPLAYED"
    permission.require(site.order("cat", "site-1", "log.txt"))


def test_the_sites_policy_counts_as_it_is_now(site: Any) -> None:
    site.policy()
    permission = site.permission()
    permission.require(site.order(*STATUS))
    site.policy(refused_commands=["check_status"])
    assert reason(permission, site.order(*STATUS)) == "COMMAND_REFUSED"
    site.policy(accepted_names=[BOB])
    assert reason(permission, site.order(*STATUS)) == "ADMIN_NOT_ACCEPTED"
    site.policy(accepted_names=[LEAD])
    permission.require(site.order(*STATUS))


@pytest.mark.parametrize("text", ["{", '{"version": 1, "admin": {"accepted_name": []}}', ""])
def test_a_policy_that_breaks_changes_nothing(site: Any, text: str) -> None:
    path = site.policy(refused_commands=["check_status"])
    permission = site.permission()
    assert reason(permission, site.order(*STATUS)) == "COMMAND_REFUSED"
    path.write_text(text)
    assert reason(permission, site.order(*STATUS)) == "COMMAND_REFUSED"
    path.unlink()
    assert reason(permission, site.order(*STATUS)) == "COMMAND_REFUSED"


def test_a_site_whose_policy_is_wrong_from_the_start_does_not_begin(site: Any) -> None:
    (site.kit / "site_policy.json").write_text("{")
    with pytest.raises(UsageError) as refused:
        site.permission()
    assert refused.value.reason == "POLICY_INVALID"


def test_a_policy_that_comes_later_counts(site: Any) -> None:
    """A site that lost it, or never had one, is given one while it stands."""
    (site.kit / "site_policy.json").unlink()
    permission = site.permission()
    permission.require(site.order(*STATUS))
    site.policy(refused_commands=["check_status"])
    assert reason(permission, site.order(*STATUS)) == "COMMAND_REFUSED"


def test_what_cannot_be_remembered_is_not_done(site: Any) -> None:
    permission = site.permission()
    (site.workspace / "orders.json").mkdir()
    with pytest.raises(StorageError):
        permission.require(site.order(*STATUS))


def test_a_damaged_memory_keeps_the_site_from_beginning(site: Any) -> None:
    (site.workspace / "orders.json").write_text(json.dumps({"x": "now"}))
    with pytest.raises(StorageError, match="damaged"):
        site.permission()


def test_the_projects_policy_counts_as_it_was_signed_last(site: Any) -> None:
    """Whoever is given a new kit need not start again; what nobody signed changes nothing."""
    value = json.loads((site.kit / "authorization.json").read_bytes())
    dropped = json.loads(json.dumps(value))
    dropped["users"][LEAD]["roles"] = ["site_researcher"]
    authority, restart = site.kits.out / "authority", ("restart", "client", "site-1")
    permission = site.permission()
    permission.require(site.order(*restart))
    put_authorization(site.kit, Role.CLIENT, dropped, authority, sign=False)
    permission.require(site.order(*restart))
    put_authorization(site.kit, Role.CLIENT, dropped, authority)
    assert reason(permission, site.order(*restart)) == "NOT_AUTHORIZED"
    put_authorization(site.kit, Role.CLIENT, value, authority)
    permission.require(site.order(*restart))
