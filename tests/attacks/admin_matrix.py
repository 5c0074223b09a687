# SPDX-License-Identifier: Apache-2.0
"""Who may order what where, written down once more, and not by the program that decides it.

The commands' rights are those of the older systems' documentation; of what they did not have,
the right that its parts need. The roles' rights are those of their example policy. The page
docs/reference/admin-rights.md is written from these tables::

    python -m tests.attacks.admin_matrix --write
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

PAGE: Final = Path(__file__).parents[2] / "docs" / "reference" / "admin-rights.md"

#: Right, then the lines that order it: of ``server`` (S), of a client (C), of neither.
COMMANDS: Final[dict[str, tuple[str, dict[str, str]]]] = {
    "check_status": ("view", {"S": "check_status server", "C": "check_status client {site}"}),
    "watch": ("view", {"S": "watch"}),
    "set_run_number": ("train", {"S": "set_run_number 3"}),
    "delete_run_number": (
        "train",
        {"S": "delete_run_number 3 server", "C": "delete_run_number 3 client {site}"},
    ),
    "deploy": ("deploy", {"S": "deploy study server", "C": "deploy study client {site}"}),
    "start": ("train", {"S": "start server", "C": "start client {site}"}),
    "start_mgpu": ("train", {"C": "start_mgpu client 2 {site}"}),
    "abort": ("train", {"S": "abort server", "C": "abort client {site}"}),
    "restart": ("operate", {"S": "restart server", "C": "restart client {site}"}),
    "shutdown": ("operate", {"S": "shutdown server", "C": "shutdown client {site}"}),
    "remove_client": ("operate", {"S": "remove_client site-a1"}),
    "reset_client": ("train", {"S": "reset_client site-a1"}),
    "set_min_clients": ("train", {"S": "set_min_clients 2"}),
    "set_timeout": ("train", {"S": "set_timeout 30"}),
    # What it begins by itself is a deployment and a start, at the server and at the client.
    "enqueue": ("deploy and train, at the server too", {"C": "enqueue study client {site}"}),
    "dequeue": ("train", {"S": "dequeue 1"}),
    "resume_queue": ("train", {"S": "resume_queue"}),
    "list_mmars": ("", {"S": "list_mmars"}),
    "list_runs": ("view", {"S": "list_runs"}),
    "validate": ("view", {"S": "validate all"}),
    "taskname": ("view", {"S": "taskname"}),
    "pwd": ("view", {"S": "pwd server", "C": "pwd {site}"}),
    "ls": ("view", {"S": "ls server -l", "C": "ls {site} -l"}),
    "cat": ("view", {"S": "cat server summary.json", "C": "cat {site} log.txt"}),
    "head": ("view", {"S": "head server log.txt", "C": "head {site} log.txt"}),
    "tail": ("view", {"S": "tail server log.txt", "C": "tail {site} log.txt"}),
    "grep": ("view", {"S": "grep server x log.txt", "C": "grep {site} x log.txt"}),
    "env": ("view", {"S": "env server", "C": "env {site}"}),
    "sys_info": ("operate", {"S": "sys_info server", "C": "sys_info client {site}"}),
    "show_users": ("", {"S": "show_users"}),
    "show_sites": ("", {"S": "show_sites"}),
    "show_rights": ("", {"S": "show_rights"}),
    "show_rules": ("", {"S": "show_rules"}),
    "show_config": ("", {"S": "show_config"}),
    "show_info": ("", {"S": "show_info"}),
    "eval_right": ("", {"S": "eval_right x@a.org train"}),
    "eval_rule": ("", {"S": "eval_rule site-a1 allow_byoc"}),
    "eval_user": ("", {"S": "eval_user x@a.org site-a1"}),
    "upload": ("upload", {"S": f"upload study {'0' * 64}"}),
    "download": ("train", {"S": "download run_1/summary.json"}),
}
#: What a client does; it does not even know of the others.
OF_A_CLIENT: Final = frozenset(
    (
        *("check_status", "delete_run_number", "deploy", "start", "start_mgpu", "abort"),
        *("restart", "shutdown", "enqueue", "sys_info"),
        *("pwd", "ls", "cat", "head", "tail", "grep", "env"),
    )
)

#: At the sites of most organisations: where a role has a right. A role that is told nothing
#: may upload, and look at its own organisation's sites.
_TOLD_NOTHING: Final = {"upload": "all", "view": "own"}
ROLES: Final[dict[str, dict[str, str]]] = {
    "super": dict.fromkeys(("upload", "deploy", "train", "view", "operate"), "all"),
    "lead_researcher": dict.fromkeys(("upload", "deploy", "train", "view", "operate"), "all"),
    "site_researcher": {"upload": "all", "train": "own", "view": "own"},
    "lead_it": {"upload": "all", "view": "all", "operate": "all"},
    "site_it": {"upload": "all", "view": "own", "operate": "own"},
    "observer": _TOLD_NOTHING,
    "only4secure": {},
}
#: At the vault's site, whose organisation says otherwise: its own people may, whom it names.
VAULT_ROLES: Final[dict[str, dict[str, str]]] = {
    "super": ROLES["super"],
    "only4secure": {"deploy": "own", "train": "own", "view": "own", "operate": "own"},
}

ORG_OF_SITE: Final = {
    "server": "a.org",
    "site-a1": "a.org",
    "site-a2": "a.org",
    "site-b1": "b.org",
    "site-b2": "b.org",
    "site-v1": "vault",
}
CLIENTS: Final = tuple(site for site in ORG_OF_SITE if site != "server")
#: The role and organisation of every user; the last one is taken out of the policy.
USERS: Final = {
    **{f"{role}@{org}": (role, org) for org in ("a.org", "b.org") for role in ROLES},
    "keeper@vault.org": ("only4secure", "vault"),
    "gone@a.org": ("", ""),
}
GONE: Final = "gone@a.org"


@dataclass(frozen=True, order=True)
class Cell:
    """One question: may this user order this of that place?"""

    user: str
    command: str
    place: str

    @property
    def words(self) -> list[str]:
        lines = COMMANDS[self.command][1]
        line = lines["S"] if self.place == "server" else lines["C"].format(site=self.place)
        return line.split()


def cells(users: tuple[str, ...] = tuple(USERS)) -> Iterator[Cell]:
    """Yield every question that there is."""
    for user in users:
        for command, (_, lines) in COMMANDS.items():
            for place in ORG_OF_SITE:
                if ("S" if place == "server" else "C") in lines:
                    yield Cell(user, command, place)


def expected(cell: Cell) -> str:
    """Return ``accepted``, or the reason of the refusal."""
    role, org = USERS[cell.user]
    if cell.user == GONE:
        return "USER_UNKNOWN"
    right = COMMANDS[cell.command][0]
    if not right:
        return "accepted"
    if cell.command == "enqueue":
        asked = [(r, place) for place in ("server", cell.place) for r in ("deploy", "train")]
    else:
        asked = [(right, cell.place)]
    return "accepted" if all(_has(role, org, *one) for one in asked) else "NOT_AUTHORIZED"


def expected_at_site(cell: Cell) -> str:
    """Return the same of what the site says for itself, without asking the server."""
    if cell.command not in OF_A_CLIENT:
        return "COMMAND_UNKNOWN"
    role, org = USERS[cell.user]
    if cell.user == GONE:
        return "USER_UNKNOWN"
    right = COMMANDS[cell.command][0]
    rights = ("deploy", "train") if cell.command == "enqueue" else (right,)
    good = all(_has(role, org, one, cell.place) for one in rights)
    return "accepted" if good else "NOT_AUTHORIZED"


def _has(role: str, org: str, right: str, place: str) -> bool:
    table = VAULT_ROLES if ORG_OF_SITE[place] == "vault" else ROLES
    where = table.get(role, {}).get(right, "")
    return where == "all" or (where == "own" and ORG_OF_SITE[place] == org)


def authorization() -> dict[str, Any]:
    """Return the policy in the older systems' words: their example, key by key."""
    general = {
        "super": {},
        "lead_researcher": dict.fromkeys(
            ("train_all", "view_all", "deploy_self", "deploy_all", "operate_self", "operate_all"),
            True,
        ),
        "site_researcher": {"train_self": True, "view_self": True},
        "lead_it": {"operate_all": True, "view_all": True},
        "site_it": {"operate_self": True, "view_self": True},
        "only4secure": {"upload_mmar": False, "view_self": False},
    }
    denied = {"upload_mmar": False, "view_self": False}
    secure = dict.fromkeys(("lead_researcher", "site_researcher", "site_it", "lead_it"), denied)
    secure["only4secure"] = dict.fromkeys(("train_self", "operate_self", "deploy_self"), True)
    rules = {"allow_byoc": False, "allow_custom_datalist": False}
    return {
        "version": "1.0",
        "roles": {role: role for role in ROLES},
        "groups": {
            "strict": {"desc": "", "rules": rules},
            "general": {"desc": "", "role_rights": general},
            "secure": {"desc": "", "role_rights": secure},
        },
        "users": {
            user: {"org": org or "a.org", "roles": [role or "super"]}
            for user, (role, org) in USERS.items()
        },
        "orgs": {
            "a.org": ["strict", "general"],
            "b.org": ["strict", "general"],
            "vault": ["strict", "secure"],
        },
        "sites": ORG_OF_SITE,
    }


# The page

_HEAD = """# Administrators: who may order what

What each command needs, and where each role has it, with the rights that `mmar-runner provision`
writes into `authorization.json` unless it is given one. A project may give its roles other
rights, and groups of an organisation may say something else of its sites; `eval_right USER RIGHT
[SITE...]` answers for the project that there is. A site's own policy may refuse still more (see
`admin` in [the policies](policy.md)): commands that look into folders are refused everywhere
until the place allows them.

*everywhere*: at every place. *own*: at the sites of the user's own organisation, and at the
server if that is the organisation's. *no*: nowhere. An `observer` is whoever has a role that is
given no right. Whoever is no user of the project may not even log in. A user who has a right at
one of several places that an order names, and not at all of them, is refused as a whole.

The tests ask a server, and every site for itself, each of these questions
(`tests/attacks/test_admin_matrix.py`).

"""
_SHOWN: Final = ("super", "lead_researcher", "site_researcher", "lead_it", "site_it", "observer")
_WORDS: Final = {"all": "everywhere", "own": "own", "": "no"}
_RANK: Final = ("", "own", "all")


def page() -> str:
    """Return the page."""
    rows = ["| command | right | " + " | ".join(f"`{role}`" for role in _SHOWN) + " |"]
    rows += ["|---|---|" + "---|" * len(_SHOWN)]
    for command, (right, _) in sorted(COMMANDS.items()):
        said = [_where(role, command, right) for role in _SHOWN]
        rows.append(f"| `{command}` | {right or 'none'} | {' | '.join(said)} |")
    return _HEAD + "\n".join(rows) + "\n"


def _where(role: str, command: str, right: str) -> str:
    if not right:
        return _WORDS["all"]
    rights = ("deploy", "train") if command == "enqueue" else (right,)
    least = min((ROLES[role].get(one, "") for one in rights), key=_RANK.index)
    return _WORDS[least]


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(page())
    else:
        sys.stdout.write(page())
