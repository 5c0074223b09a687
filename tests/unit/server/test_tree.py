# SPDX-License-Identifier: Apache-2.0
"""Which runs combiners can work for, and what is refused below one."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mmar_runner.cli.main import main
from mmar_runner.cli.starting.validated import validated
from mmar_runner.errors import CertificateError, RefusedError
from mmar_runner.federation.assignment import AssignmentTable
from mmar_runner.federation.sites import NO_SITES, Sites
from mmar_runner.hooks import load_plugins
from mmar_runner.security.identity import Identity, PeerCertificate, Role
from mmar_runner.server.components.building import ServerComponents
from mmar_runner.server.members.tree import Tree, obstacle
from mmar_runner.server.tree_parts import plain_sites
from mmar_runner.wire.gate import Peer
from mmar_runner.wire.messages import RegisterRequest

MMARS = Path(__file__).parents[3] / "mmars"
PEER = Peer("127.0.0.1:1")


def why(name: str, **settings: Any) -> str:
    plugins = load_plugins()
    spec = validated(MMARS / name, plugins, side="server", settings=settings)
    assert spec.server is not None
    components = ServerComponents(spec.server, plugins.registry)
    return obstacle(spec.server, components.aggregator, components.workflow)


def test_federated_averaging_composes() -> None:
    assert why("echo") == ""


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("digits_robust", "needs every site's update"),
        ("digits_secure", "needs every site's update"),
        ("digits_round_robin", "one client works at a time"),
    ],
)
def test_what_does_not_compose_is_said(name: str, said: str) -> None:
    assert said in why(name)


def test_a_combiner_is_refused_where_nothing_composes() -> None:
    with pytest.raises(RefusedError) as refused:
        Tree("Median needs every site's update").admit(RegisterRequest(combines=True), PEER)
    assert refused.value.reason == "DOES_NOT_COMPOSE"
    assert "Median" in refused.value.message
    Tree("Median needs every site's update").admit(RegisterRequest(), PEER)


def test_cross_site_validation_is_refused_below_a_combiner() -> None:
    with pytest.raises(RefusedError) as refused:
        Tree(is_combiner=True).admit(RegisterRequest(cross_validate=True), PEER)
    assert refused.value.reason == "NOT_BELOW_COMBINERS"
    Tree().admit(RegisterRequest(cross_validate=True), PEER)


def certified(role: Role) -> Peer:
    now = datetime.now(UTC)
    shown = PeerCertificate(Identity("demo", role, "east"), "f" * 64, "1", now, now)
    return Peer("10.0.0.1:1", shown)


@pytest.mark.parametrize(
    ("role", "combines"), [(Role.CLIENT, True), (Role.COMBINER, False), (Role.ADMIN, True)]
)
def test_a_certificate_says_who_combines(role: Role, combines: bool) -> None:
    with pytest.raises(CertificateError) as refused:
        Tree().admit(RegisterRequest(combines=combines), certified(role))
    assert refused.value.reason == "ROLE"


def test_a_combiner_and_a_client_come_as_what_they_are() -> None:
    Tree().admit(RegisterRequest(combines=True), certified(Role.COMBINER))
    Tree().admit(RegisterRequest(), certified(Role.CLIENT))


def test_a_tree_remembers_that_combiners_came() -> None:
    tree = Tree()
    tree.came("site-1", combines=False)
    assert not tree.had_combiners
    tree.came("east", combines=True)
    assert tree.had_combiners


def test_run_combiner_refuses_before_anybody_is_called(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["--insecure", "--name", "east", "--parent", "127.0.0.1:9"]
    with pytest.raises(SystemExit) as ended:
        main(["run-combiner", str(MMARS / "digits_robust"), *arguments])
    assert ended.value.code == 1
    assert "DOES_NOT_COMPOSE" in capsys.readouterr().err


def test_a_combiner_lets_in_those_alone_who_are_assigned_to_it() -> None:
    tree = Tree(is_combiner=True, expected=frozenset({"site-1"}))
    tree.admit(RegisterRequest(client_name="site-1"), PEER)
    with pytest.raises(RefusedError) as refused:
        tree.admit(RegisterRequest(client_name="site-2"), PEER)
    assert refused.value.reason == "NOT_ASSIGNED"
    assert "--controller" in (refused.value.hint or "")


@pytest.mark.parametrize("address", ["", "east", "east:", "east:http", "a b:1", "\x1b[31m:80"])
def test_a_combiner_that_does_not_say_where_it_answers_gets_no_clients(address: str) -> None:
    tree = Tree(table=AssignmentTable(lambda: 1))
    with pytest.raises(RefusedError) as refused:
        tree.admit(RegisterRequest(client_name="east", combines=True, serves_at=address), PEER)
    assert refused.value.reason == "SERVES_AT"


def test_a_combiner_without_clients_has_no_part_in_rounds() -> None:
    tree = Tree(table=AssignmentTable(lambda: 1))
    request = RegisterRequest(client_name="east", combines=True, serves_at="10.0.0.2:8002")
    tree.admit(request, PEER)
    tree.came("east", combines=True)
    assert tree.table is not None
    assert (tree.takes_part("east"), tree.takes_part("site-1")) == (False, True)
    tree.table.combiner_of["site-1"] = "east"
    assert tree.takes_part("east")


@pytest.mark.parametrize(("own", "comes"), [("", False), ("west", False), ("east", True)])
def test_whoever_has_a_place_in_the_project_comes_nowhere_else(own: str, comes: bool) -> None:
    """Else a site could count twice, and its combiner's sum would be refused for it."""
    tree = Tree(own=own, place={"site-1": "east"}.get)
    tree.admit(RegisterRequest(client_name="site-2"), PEER)
    if comes:
        tree.admit(RegisterRequest(client_name="site-1"), PEER)
        return
    with pytest.raises(RefusedError, match="below the combiner east") as refused:
        tree.admit(RegisterRequest(client_name="site-1"), PEER)
    assert refused.value.reason == "NOT_ASSIGNED"


def test_whoever_has_a_place_below_a_combiner_is_not_missed_at_the_root() -> None:
    """It would be refused there: nobody is to be telephoned for it."""
    project = Sites(frozenset({"a", "b", "east"}), frozenset({"a", "b", "east"}))
    trust = SimpleNamespace(sites=project, kit=SimpleNamespace(places={"a": "east"}))
    root: Any = SimpleNamespace(trust=trust, upstream=None)
    assert plain_sites(root).absent([]) == {"b", "east"}
    below: Any = SimpleNamespace(trust=trust, upstream=object())
    assert plain_sites(below).absent([]) == set()
    nobody: Any = SimpleNamespace(trust=None, upstream=None)
    assert plain_sites(nobody) is NO_SITES
