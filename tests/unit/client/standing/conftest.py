# SPDX-License-Identifier: Apache-2.0
"""A site that judges orders, and administrators who sign them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mmar_runner.client.standing.permission import Permission
from mmar_runner.client.trust import ClientTrust
from mmar_runner.orders.order import new_order, signed
from mmar_runner.security.audit.log import held_open
from mmar_runner.security.identity import Role
from mmar_runner.security.kits.kit import load_kit
from mmar_runner.security.pki.keys import load_release_key
from mmar_runner.testing.kits import Kits, make_kits

LEAD, BOB = "lead@a.org", "bob@b.org"
PROJECT = "sites"
ORGS = {"server": "a.org", "site-1": "a.org", "site-2": "b.org", LEAD: "a.org", BOB: "b.org"}


@pytest.fixture(scope="session")
def two_sites(tmp_path_factory: pytest.TempPathFactory) -> Kits:
    """The lead is ``super``; bob trains and looks at his own organisation's sites."""
    general = {"site_researcher": {"train_self": True, "view_self": True}}
    authorization = {
        "version": "1.0",
        "roles": {"super": "", "site_researcher": ""},
        "groups": {
            "strict": {"desc": "", "rules": {"allow_byoc": False}},
            "general": {"desc": "", "role_rights": general},
        },
        "users": {
            LEAD: {"org": "a.org", "roles": ["super"]},
            BOB: {"org": "b.org", "roles": ["site_researcher"]},
        },
        "orgs": {"a.org": ["strict", "general"], "b.org": ["strict", "general"]},
        "sites": {"server": "a.org", "site-1": "a.org", "site-2": "b.org"},
    }
    return make_kits(
        tmp_path_factory.mktemp("two-sites"),
        clients=("site-1", "site-2"),
        admins=(LEAD, BOB),
        project=PROJECT,
        orgs=ORGS,
        authorization=authorization,
    )


@dataclass
class Site:
    """One site of its own, and orders for it."""

    kits: Kits
    kit: Path
    workspace: Path
    trust: ClientTrust
    name: str = "site-1"

    def permission(self) -> Permission:
        settings: Any = SimpleNamespace(
            name=self.name, site="site-1", trust=self.trust, workspace=self.workspace
        )
        return Permission(settings)

    def policy(self, **admin: Any) -> Path:
        path = self.kit / "site_policy.json"
        path.write_text(json.dumps({"version": 1, "admin": admin}))
        return path

    def order(self, *words: str, user: str = LEAD, key: Any = None, **facts: Any) -> bytes:
        now = facts.pop("now", datetime.now(UTC))
        order = replace(new_order(PROJECT, user, words, now=now), **facts)
        return signed(order, key or load_release_key(self.kits.admin(user) / "release.key"))


@pytest.fixture
def site(two_sites: Kits, tmp_path: Path) -> Iterator[Site]:
    kit = Path(shutil.copytree(two_sites.client("site-1"), tmp_path / "kit"))
    workspace = tmp_path / "ws"
    workspace.mkdir()
    with held_open(workspace / "audit.jsonl") as audit:
        opened = load_kit(kit, Role.CLIENT, now=datetime.now(UTC))
        trust = ClientTrust(opened, opened.revocation_memory(), audit, "localhost:1")
        yield Site(two_sites, kit, workspace, trust)
