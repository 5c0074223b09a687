# SPDX-License-Identifier: Apache-2.0
"""The guards of a tree whose clients are assigned, replaced: then the attack goes through."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mmar_runner.client.trust import judge_server
from mmar_runner.errors import CertificateError, RefusedError
from mmar_runner.federation.assignment import AssignmentTable
from mmar_runner.federation.sites import NO_SITES
from mmar_runner.security.identity import Role
from mmar_runner.security.kits.kit import load_kit
from mmar_runner.server.members.controller import Controller
from mmar_runner.server.members.tree import Tree
from mmar_runner.testing.kits import make_kits
from mmar_runner.wire.gate import Peer
from mmar_runner.wire.messages import RegisterRequest

PEER = Peer("127.0.0.1:1")


def test_a11_whom_a_combiner_lets_in() -> None:
    stranger = RegisterRequest(client_name="site-2")
    with pytest.raises(RefusedError) as refused:
        Tree(is_combiner=True, expected=frozenset({"site-1"})).admit(stranger, PEER)
    assert refused.value.reason == "NOT_ASSIGNED"
    Tree(is_combiner=True, expected=None).admit(stranger, PEER)


def test_a11_who_answers_at_a_combiners_address(tmp_path: Path) -> None:
    kits, now = make_kits(tmp_path, combiners=("east", "west")), datetime.now(UTC)
    own = load_kit(kits.client("site-1"), Role.CLIENT, now=now)
    west = load_kit(kits.client("west"), Role.COMBINER, now=now).cert_file.read_bytes()
    with pytest.raises(CertificateError) as refused:
        judge_server(west, own, own.revocation_memory(), "localhost:1", combiner="east")
    assert refused.value.reason == "ROLE"
    judge_server(west, own, own.revocation_memory(), "localhost:1")


def controller(table: AssignmentTable) -> Controller:
    members: Any = SimpleNamespace(
        present=lambda: ["east", "west"], tree=Tree(), known=lambda _: None
    )
    nobody: Any = None
    return Controller(table, nobody, members, nobody, nobody, names=nobody, sites=NO_SITES)


def sums(*sites: str) -> Any:
    return SimpleNamespace(parts=[SimpleNamespace(site=name) for name in sites])


@pytest.mark.parametrize(
    ("held", "reason"),
    [(("site-1", "site-3"), "NOT_ASSIGNED"), (("site-1",), "SITES_CHANGED")],
)
def test_e11_whom_a_sum_holds(held: tuple[str, ...], reason: str) -> None:
    places = {"site-1": "east", "site-2": "east", "site-3": "west"}
    table = AssignmentTable(lambda: 3, {}, {"east", "west"}, places)
    with pytest.raises(RefusedError) as refused:
        controller(table).check("east", sums(*held))
    assert refused.value.reason == reason
    controller(table).check("east", sums("site-1", "site-2"))
    table.combiners.discard("east")  # as if nothing were expected of it
    controller(table).check("east", sums(*held))
