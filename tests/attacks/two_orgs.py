# SPDX-License-Identifier: Apache-2.0
"""A project of two organisations whose people may work at one server, and see only their own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mmar_runner.mmar.finding import Findings
from mmar_runner.mmar.folder import open_folder
from mmar_runner.mmar.manifest import list_files
from mmar_runner.security.identity import Role
from mmar_runner.security.pki.certificates import read_peer_certificate
from mmar_runner.security.pki.keys import load_private_key
from mmar_runner.security.pki.revocation import read_revocations, sign_revocations
from mmar_runner.storage.atomic import write_bytes_atomic
from mmar_runner.testing.kits import Kits, make_kits
from tests import signed_mmars
from tests.attacks.resigned import put_authorization

ECHO = Path(__file__).parents[2] / "mmars" / "echo"
PROJECT = "shared"
#: The server is of a.org; alice sees everything, bob may work there and sees b.org's alone.
ALICE, BOB, EVE = "alice@a.org", "bob@b.org", "eve@b.org"
ORGS = {"server": "a.org", "site-1": "a.org", "site-2": "b.org"}
SITES = ("site-1", "site-2")
_EVERYTHING = dict.fromkeys(
    ("upload_mmar", "deploy_all", "train_all", "view_all", "operate_all"), True
)
_WORKS = {**_EVERYTHING, "view_all": False}


def authorization(**roles: str) -> dict[str, Any]:
    """Return the policy.

    Args:
        roles: Other roles, by the first part of a user's address.
    """
    given = {"alice": "lead", "bob": "guest", "eve": "onlooker"} | roles
    return {
        "version": "1.0",
        "roles": {"lead": "", "guest": "", "onlooker": ""},
        "groups": {
            "all": {
                "desc": "",
                "rules": {"allow_byoc": False},
                "role_rights": {"lead": _EVERYTHING, "guest": _WORKS},
            }
        },
        "users": {
            user: {"org": user.partition("@")[2], "roles": [given[user.partition("@")[0]]]}
            for user in (ALICE, BOB, EVE)
        },
        "orgs": {"a.org": ["all"], "b.org": ["all"]},
        "sites": ORGS,
    }


class TwoOrgs:
    """The kits, and what the office does to them while they are in use."""

    def __init__(self, folder: Path) -> None:
        people = {user: user.partition("@")[2] for user in (ALICE, BOB, EVE)}
        self.folder = folder
        self.kits: Kits = make_kits(
            folder / "project",
            clients=SITES,
            admins=tuple(people),
            project=PROJECT,
            orgs={**ORGS, **people},
            authorization=authorization(),
        )

    @property
    def authority(self) -> Path:
        return self.kits.out / "authority"

    def server_kit(self, name: str) -> Path:
        """Return a server's kit of its own: what one test changes no other sees."""
        return Path(shutil.copytree(self.kits.server, self.folder / name))

    def give_roles(self, kit: Path, **roles: str) -> None:
        put_authorization(kit, Role.SERVER, authorization(**roles), self.authority)

    def revoke(self, kit: Path, *owners: str) -> None:
        """Replace a server's list by one that revokes certificates of somebody's."""
        path, root = kit / "revocations.json", (kit / "rootCA.pem").read_bytes()
        own = read_revocations(path.read_bytes(), root)
        files = [self.kits.out / owner / "client.crt" for owner in owners]
        serials = tuple(read_peer_certificate(file.read_bytes()).serial for file in files)
        newer = replace(own, version=own.version + 1, serials=serials)
        key = load_private_key(self.authority / "root.key")
        write_bytes_atomic(path, sign_revocations(newer, key))

    def mmar(self, folder: Path, name: str, signer: str = ALICE) -> Path:
        """Return a signed copy of the sample that needs no data; no two are the same."""
        root = Path(shutil.copytree(ECHO, folder / name))
        path = root / "config" / "environment.json"
        path.write_text(json.dumps(json.loads(path.read_bytes()) | {"NAME": name}))
        signed_mmars.sign(root, signed_mmars.signer_of(self.kits.admin(signer)))
        return root


def put_upload(workspace: Path, root: Path, *, owner: str) -> None:
    """Put an MMAR where uploads lie, as if somebody had uploaded it."""
    folder = workspace / "transfer"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(root, folder / root.name)
    facts: Mapping[str, Any] = {
        "name": root.name,
        "digest": list_files(open_folder(root, Findings())).digest,
        "owner": owner,
        "org": owner.partition("@")[2],
        "uploaded": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "bytes": 1000,
    }
    (folder / f"{root.name}.json").write_text(json.dumps(facts))
