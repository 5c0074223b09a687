# SPDX-License-Identifier: Apache-2.0
"""Who may do what: users, sites, rights and rules, as they are in force."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mmar_runner.interfaces.admin_cmd_module import AdminCmdModule
from mmar_runner.interfaces.admin_event import Event, Table, Text, Value
from mmar_runner.orders.commands import INSPECTION
from mmar_runner.security.policy.authorization import SUPER

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence

    from mmar_runner.interfaces.admin_command import CommandCall, CommandSpec
    from mmar_runner.interfaces.server_operations import ServerOperations


class InspectionCommands(AdminCmdModule):
    """Answers the commands about authorization."""

    def get_commands(self) -> Sequence[CommandSpec]:
        """Return what it answers."""
        return INSPECTION

    async def execute(
        self, call: CommandCall, operations: ServerOperations
    ) -> AsyncIterator[Event]:
        """Carry one out."""
        if call.spec.name in _SHOWN:
            policy = operations.authorization()
            for event in _SHOWN[call.spec.name](policy):
                yield event
            return
        if call.spec.name == "show_info":
            for event in _info(call.user, operations):
                yield event
            return
        steps = _evaluated(call, operations)
        columns = ("site", "answer", "rule", "because", "where")
        rows = [
            [s["site"], "yes" if s["accepted"] else "no", s["rule"], s["message"], s["place"]]
            for s in steps
        ]
        yield Table(columns, rows)
        yield Value({"steps": steps, "accepted": all(step["accepted"] for step in steps)})


def _evaluated(call: CommandCall, operations: ServerOperations) -> list[dict[str, Any]]:
    arguments = call.arguments
    match call.spec.name:
        case "eval_right":
            sites = arguments.get("SITE") or sorted(operations.authorization()["sites"])
            return [
                step
                for site in sites
                for step in operations.evaluate(site, arguments["USER"], arguments["RIGHT"])
            ]
        case "eval_rule":
            return operations.evaluate(arguments["SITE"], "", arguments["RULE"])
        case _:
            site, user = arguments["SITE"], arguments["USER"]
            rights = ("upload", "deploy", "train", "view", "operate")
            return [step for right in rights for step in operations.evaluate(site, user, right)]


def _info(user: str, operations: ServerOperations) -> Iterator[Event]:
    known = operations.authorization()["users"][user]
    value = {
        "user": user,
        "org": known["org"],
        "roles": known["roles"],
        "run_number": operations.get_run_number(),
        "clients": operations.get_client_names(),
    }
    yield Table(("", ""), [[key, _text(said)] for key, said in value.items()], "You and the server")
    yield Value(value)


def _users(policy: Mapping[str, Any]) -> Iterator[Event]:
    users = policy["users"]
    rows = [[name, said["org"], ", ".join(said["roles"])] for name, said in users.items()]
    yield Table(("user", "organisation", "roles"), rows)
    yield Value({"users": users})


def _sites(policy: Mapping[str, Any]) -> Iterator[Event]:
    sites, orgs = policy["sites"], policy["orgs"]
    rows = [[site, org, ", ".join(orgs.get(org, ()))] for site, org in sites.items()]
    yield Table(("site", "organisation", "groups"), rows)
    yield Value({"sites": sites, "orgs": orgs})


def _rights(policy: Mapping[str, Any]) -> Iterator[Event]:
    rows = [
        [name, _text(said["default"]), "own organisation" if said["own_org"] else "everywhere"]
        for name, said in policy["rights"].items()
    ]
    yield Table(("right", "default", "holds at"), rows, "Rights")
    given = [
        [group, role, _given(role, rights)]
        for group, said in policy["groups"].items()
        for role, rights in said["role_rights"].items()
    ]
    yield Table(("group", "role", "rights"), given, "What groups give roles")
    yield Value({"rights": policy["rights"], "groups": policy["groups"]})


def _rules(policy: Mapping[str, Any]) -> Iterator[Event]:
    rows = [[name, _text(said["default"])] for name, said in policy["rules"].items()]
    yield Table(("rule", "default"), rows, "Rules")
    said = [
        [group, ", ".join(f"{rule}={_text(value)}" for rule, value in one["rules"].items())]
        for group, one in policy["groups"].items()
        if one["rules"]
    ]
    yield Table(("group", "rules"), said, "What groups say")
    yield Value({"rules": policy["rules"], "groups": policy["groups"]})


def _config(policy: Mapping[str, Any]) -> Iterator[Event]:
    yield Text(json.dumps(policy, indent=2, ensure_ascii=False))
    yield Value({"authorization": dict(policy)})


def _given(role: str, rights: Mapping[str, Any]) -> str:
    said = ", ".join(f"{right}={_text(value)}" for right, value in rights.items())
    return said or ("all of them" if role == SUPER else "none")


def _text(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return str(value).lower()
    return "not set" if value is None else str(value)


_SHOWN: Mapping[str, Callable[[Mapping[str, Any]], Iterator[Event]]] = {
    "show_users": _users,
    "show_sites": _sites,
    "show_rights": _rights,
    "show_rules": _rules,
    "show_config": _config,
}
