# SPDX-License-Identifier: Apache-2.0
"""E03: every command, of every role, at every place, as a server and as the sites answer.

What is right stands in `admin_matrix`, which does not ask the program. Some two thousand orders
are really signed and sent over TLS; the same are shown to every site.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mmar_runner.admin.entrance.access import Access
from mmar_runner.client.standing.permission import Permission
from mmar_runner.client.trust import ClientTrust
from mmar_runner.console.session import admin_session
from mmar_runner.errors import MmarRunnerError
from mmar_runner.orders.commands import BUILT_IN, SHELL
from mmar_runner.orders.commands import OF_A_CLIENT as KNOWN_TO_CLIENTS
from mmar_runner.orders.order import new_order, signed
from mmar_runner.security.audit.log import held_open
from mmar_runner.security.audit.reading import read_audit
from mmar_runner.security.identity import Role
from mmar_runner.security.kits.kit import load_kit
from mmar_runner.security.pki.keys import load_release_key
from mmar_runner.testing.kits import Kits, make_kits
from tests.attacks import admin_matrix as matrix
from tests.attacks.harmless_desk import harmless_desk
from tests.attacks.resigned import put_authorization

PROJECT = "matrix"
#: At least so many questions, so that nobody takes the table away by halves.
SERVER_CELLS, SITE_CELLS = 1900, 1200

Answers = dict[matrix.Cell, str]


def without(user: str) -> dict[str, Any]:
    value = matrix.authorization()
    del value["users"][user]
    return value


@pytest.fixture(scope="module")
def kits(tmp_path_factory: pytest.TempPathFactory) -> Kits:
    """A project of two organisations and a vault; every place allows its shell commands."""
    folder = tmp_path_factory.mktemp("matrix")
    users = matrix.authorization()["users"]
    orgs = {user: said["org"] for user, said in users.items()} | matrix.ORG_OF_SITE
    kits = make_kits(
        folder,
        clients=matrix.CLIENTS,
        admins=tuple(matrix.USERS),
        project=PROJECT,
        orgs=orgs,
        authorization=matrix.authorization(),
    )
    for kit in (kits.server, *map(kits.client, matrix.CLIENTS)):
        allow_shell(kit)
    return kits


def allow_shell(kit: Path) -> None:
    path = kit / "site_policy.json"
    policy = json.loads(path.read_bytes())
    policy["admin"] = {"allowed_shell_cmds": sorted(spec.name for spec in SHELL)}
    path.write_text(json.dumps(policy))


async def answers_of_server(
    kits: Kits, workspace: Path, users: tuple[str, ...], *, access: Any = Access
) -> Answers:
    """Order everything, each user in a session of its own, and return what came of it.

    The sessions are older than the policy that no longer knows one of the users.
    """
    before = matrix.authorization()
    put_authorization(kits.server, Role.SERVER, before, kits.out / "authority")
    found: Answers = {}

    async def ask(session: Any, user: str) -> None:
        for cell in matrix.cells((user,)):
            found[cell] = await answer(session, cell)

    async with (
        harmless_desk(kits.server, workspace, present=matrix.CLIENTS, access=access) as address,
        AsyncExitStack() as stack,
    ):
        sessions = {}
        for user in users:
            kit = load_kit(kits.admin(user), Role.ADMIN, now=datetime.now(UTC))
            sessions[user] = await stack.enter_async_context(admin_session(kit, address))
        now = without(matrix.GONE)
        put_authorization(kits.server, Role.SERVER, now, kits.out / "authority")
        await asyncio.gather(*(ask(session, user) for user, session in sessions.items()))
    return found


async def answer(session: Any, cell: matrix.Cell) -> str:
    try:
        events = [event async for event in session.execute(cell.words)]
    except MmarRunnerError as error:
        # Upload and Download are calls of their own; rights are asked before that is said.
        if error.reason == "PROTOCOL" and "a call of its own" in error.message:
            return "accepted"
        return str(error.reason)
    assert [event["kind"] for event in events] == ["text", "end"]
    return "accepted"


def answers_of_sites(kits: Kits, folder: Path, users: tuple[str, ...]) -> Answers:
    """Show every order to the site that it names, signed as it would come."""
    found: Answers = {}
    for site in matrix.CLIENTS:
        put_authorization(
            kits.client(site), Role.CLIENT, without(matrix.GONE), kits.out / "authority"
        )
    for site in matrix.CLIENTS:
        with site_of(kits.client(site), folder / site) as permission:
            for cell in matrix.cells(users):
                if cell.place == site:
                    found[cell] = site_says(permission, order_of(kits, cell))
    return found


class site_of:  # noqa: N801 - reads like a function
    """What one site judges orders by, for a block."""

    def __init__(self, kit: Path, workspace: Path) -> None:
        workspace.mkdir(parents=True)
        self._kit, self._workspace = kit, workspace
        self._log = held_open(workspace / "audit.jsonl")

    def __enter__(self) -> Permission:
        kit = load_kit(self._kit, Role.CLIENT, now=datetime.now(UTC))
        trust = ClientTrust(kit, kit.revocation_memory(), self._log.__enter__(), "localhost:1")
        name = kit.identity.name
        return Permission(
            SimpleNamespace(name=name, site=name, trust=trust, workspace=self._workspace)
        )

    def __exit__(self, *exc: object) -> None:
        self._log.__exit__(*exc)


def order_of(kits: Kits, cell: matrix.Cell) -> bytes:
    key = load_release_key(kits.admin(cell.user) / "release.key")
    return signed(new_order(PROJECT, cell.user, tuple(cell.words), now=datetime.now(UTC)), key)


def site_says(permission: Permission, order: bytes) -> str:
    try:
        permission.require(order)
    except MmarRunnerError as error:
        return str(error.reason)
    return "accepted"


def mismatches(found: Answers, expected: Any) -> dict[matrix.Cell, tuple[str, str]]:
    return {cell: (said, expected(cell)) for cell, said in found.items() if said != expected(cell)}


@pytest.fixture(scope="module")
def of_server(kits: Kits, tmp_path_factory: pytest.TempPathFactory) -> tuple[Answers, Path]:
    workspace = tmp_path_factory.mktemp("server")
    return asyncio.run(answers_of_server(kits, workspace, tuple(matrix.USERS))), workspace


@pytest.fixture(scope="module")
def of_sites(kits: Kits, tmp_path_factory: pytest.TempPathFactory) -> Answers:
    return answers_of_sites(kits, tmp_path_factory.mktemp("sites"), tuple(matrix.USERS))


def test_the_table_has_every_command_and_no_other() -> None:
    assert set(matrix.COMMANDS) == set(BUILT_IN), "admin_matrix.py says who may order what"
    assert matrix.OF_A_CLIENT == KNOWN_TO_CLIENTS


def test_e03_a_server_answers_every_question_as_the_table_says(
    of_server: tuple[Answers, Path], record_property: Any
) -> None:
    found, _ = of_server
    assert set(found) == set(matrix.cells()), "a question was not asked"
    assert mismatches(found, matrix.expected) == {}
    record_property("cells", len(found))
    assert len(found) >= SERVER_CELLS
    assert set(found.values()) == {"accepted", "NOT_AUTHORIZED", "USER_UNKNOWN"}


def test_e03_every_site_answers_for_itself_as_the_table_says(
    of_sites: Answers, record_property: Any
) -> None:
    assert set(of_sites) == {cell for cell in matrix.cells() if cell.place != "server"}
    assert mismatches(of_sites, matrix.expected_at_site) == {}
    record_property("cells", len(of_sites))
    assert len(of_sites) >= SITE_CELLS


def test_e03_no_site_does_what_the_server_would_not_let_pass_but_for_its_own_sake(
    of_server: tuple[Answers, Path], of_sites: Answers
) -> None:
    """Only a run that waits needs rights at the server too, of which a site cannot speak."""
    found, _ = of_server
    more = {cell for cell, said in of_sites.items() if said == "accepted" != found[cell]}
    assert {cell.command for cell in more} <= {"enqueue"}


def test_every_order_has_its_one_line_in_the_audit_log(of_server: tuple[Answers, Path]) -> None:
    """As many lines of each user, command and answer as there were orders."""
    found, workspace = of_server
    asked: Counter[tuple[str, str, str]] = Counter()
    for cell, said in found.items():
        if cell.command == "list_mmars":
            continue
        asked[f"admin {cell.user}", f"admin.{cell.command}", said] += 1
    written: Counter[tuple[str, str, str]] = Counter()
    for line in read_audit(workspace / "audit.jsonl"):
        # A console asks which MMAR is meant before it signs an order that names one.
        looked_up = line["action"] == "admin.list_mmars"
        if line["action"].startswith("admin.") and not looked_up:
            said = "accepted" if line["decision"] == "accepted" else line["reason"]
            repeated = line["data"].get("repeated", 1)
            written[line["who"], line["action"], said] += repeated
    assert written == asked


@pytest.mark.parametrize("at", [0, 137, 600, 1111, -1])
def test_one_wrong_cell_is_noticed(of_server: tuple[Answers, Path], at: int) -> None:
    found, _ = of_server
    cell = sorted(found)[at]
    turned = "NOT_AUTHORIZED" if matrix.expected(cell) == "accepted" else "accepted"
    wrong = mismatches(found, lambda one: turned if one == cell else matrix.expected(one))
    assert set(wrong) == {cell}


class _OwnIsEverybodys(Access):
    """Takes a right at one's own organisation for a right everywhere."""

    def _decision(self, place: str, user: str, command: str, right: str) -> Any:
        return super()._decision("server", user, command, right)


class _OnlyTheFirstPlace(Access):
    """Asks at one of the places that an order names, and at no other."""

    def decisions(self, *arguments: Any, **more: Any) -> Any:
        return super().decisions(*arguments, **more)[:1]


@pytest.mark.parametrize(
    ("access", "user", "command"),
    [
        (_OwnIsEverybodys, "site_researcher@a.org", "start"),
        (_OwnIsEverybodys, "site_it@b.org", "restart"),
        (_OnlyTheFirstPlace, "lead_researcher@a.org", "enqueue"),
    ],
)
def test_a_rule_that_is_missing_is_noticed(
    kits: Kits, tmp_path: Path, access: Any, user: str, command: str
) -> None:
    found = asyncio.run(answers_of_server(kits, tmp_path / "ws", (user,), access=access))
    wrong = mismatches(found, matrix.expected)
    assert command in {cell.command for cell in wrong}


async def test_whoever_is_no_user_may_not_even_log_in(kits: Kits, tmp_path: Path) -> None:
    put_authorization(kits.server, Role.SERVER, without(matrix.GONE), kits.out / "authority")
    kit = load_kit(kits.admin(matrix.GONE), Role.ADMIN, now=datetime.now(UTC))
    async with harmless_desk(kits.server, tmp_path / "ws") as address:
        with pytest.raises(MmarRunnerError) as refused:
            async with admin_session(kit, address):
                pytest.fail("a session was opened")
    assert refused.value.reason == "USER_UNKNOWN"


async def test_the_policys_new_words_count_only_under_the_authoritys_signature(
    kits: Kits, tmp_path: Path
) -> None:
    """Whoever can write the file at the server gives nobody a right."""
    authority = kits.out / "authority"
    put_authorization(kits.server, Role.SERVER, matrix.authorization(), authority)
    raised = matrix.authorization()
    raised["users"]["observer@b.org"]["roles"] = ["super"]
    kit = load_kit(kits.admin("observer@b.org"), Role.ADMIN, now=datetime.now(UTC))
    cell = matrix.Cell("observer@b.org", "shutdown", "server")
    async with harmless_desk(kits.server, tmp_path / "ws") as address:  # noqa: SIM117
        async with admin_session(kit, address) as session:
            assert await answer(session, cell) == "NOT_AUTHORIZED"
            put_authorization(kits.server, Role.SERVER, raised, authority, sign=False)
            assert await answer(session, cell) == "NOT_AUTHORIZED"
            put_authorization(kits.server, Role.SERVER, raised, authority)
            assert await answer(session, cell) == "accepted"
    put_authorization(kits.server, Role.SERVER, matrix.authorization(), authority)


def test_the_page_is_the_table() -> None:
    """Written by `python -m tests.attacks.admin_matrix --write`."""
    assert matrix.PAGE.read_text() == matrix.page()
