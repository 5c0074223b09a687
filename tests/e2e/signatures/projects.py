# SPDX-License-Identifier: Apache-2.0
"""A project whose administrators sign, and the command line that asks about what they signed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mmar_runner.cli.main import main
from mmar_runner.security.pki.envelope import key_id, read_envelope, sign
from mmar_runner.security.pki.keys import load_private_key
from mmar_runner.security.pki.revocation import RevocationList, sign_revocations
from mmar_runner.security.signatures.manifest import MMAR_TYPE
from mmar_runner.testing.kits import make_kits

ROOT = Path(__file__).resolve().parents[3]
DAY = timedelta(days=1)
ADA, BOB = "ada@uni.org", "bob@clinic.org"
SITES = ("site-1", "site-2")
LEAD = dict.fromkeys(("deploy_all", "train_all", "view_all", "operate_all"), True)
AUTHORIZATION = {
    "version": "1.0",
    "roles": {"lead": "leads a project"},
    "groups": {
        "all": {
            "desc": "everybody",
            "role_rights": {"lead": LEAD},
            "rules": {"allow_byoc": True, "allow_custom_datalist": True},
        }
    },
    "users": {
        ADA: {"org": "uni", "roles": ["lead"]},
        BOB: {"org": "clinic", "roles": ["lead"]},
    },
    "orgs": {"uni": ["all"], "clinic": ["all"]},
    "sites": {"server": "uni", "site-1": "clinic", "site-2": "uni"},
}
ORGS = {**AUTHORIZATION["sites"], ADA: "uni", BOB: "clinic"}


class Project:
    """A provisioned project, and what its authority may still do."""

    def __init__(self, folder, name="heart"):
        self.name = name
        kits = make_kits(
            folder,
            clients=SITES,
            admins=(ADA, BOB),
            project=name,
            orgs=ORGS,
            authorization=AUTHORIZATION,
        )
        self.folder = kits.out
        self.project_file = kits.project_file

    def kit(self, name):
        return self.folder / name

    def key(self, name):
        return load_private_key(self.folder / name)

    def release_id(self, who):
        return key_id(self.key(f"{who}/release.key").public_key())

    def revoke(self, version=100, **changes):
        """Bring a newer list of revocations to every kit, as the authority would."""
        now = datetime.now(UTC)
        times = {"created": now - DAY, "expires": now + DAY, "version": version}
        revocations = RevocationList(**{"project": self.name, **times, **changes})
        data = sign_revocations(revocations, self.key("authority/root.key"))
        for file in self.folder.glob("*/revocations.json"):
            file.write_bytes(data)

    def policy(self, site, **rules):
        path = self.kit(site) / "site_policy.json"
        path.write_text(json.dumps({"version": 1, **rules}))


@dataclass
class Cli:
    """The commands, as a person calls them."""

    project: Project
    capsys: pytest.CaptureFixture
    mmar: Path

    def call(self, *arguments):
        with pytest.raises(SystemExit) as caught:
            main([*map(str, arguments), "--json"])
        return caught.value.code, json.loads(self.capsys.readouterr().out)

    def sign(self, who=ADA, *options, mmar=None):
        kit = self.project.kit(who)
        code, answer = self.call("sign-mmar", mmar or self.mmar, "--kit", kit, *options)
        assert code == 0, answer
        return answer

    def verify(self, site="site-1", *options, mmar=None, project=None):
        """Return the reasons of the refusals, of a site that judges what came by network."""
        kit = (project or self.project).kit(site)
        origin = [] if "--local" in options else ["--delivered"]
        code, answer = self.call("verify-mmar", mmar or self.mmar, "--kit", kit, *origin)
        if "error" in answer:
            assert code == 1
            return [answer["error"]["reason"]]
        reasons = [step["reason"] for step in answer["steps"] if not step["accepted"]]
        assert answer["errors"] == [] or reasons
        assert (code, answer["accepted"]) == ((1, False) if reasons else (0, True))
        self.steps = answer["steps"]
        return reasons

    @property
    def envelope(self):
        return self.mmar / "signature.json"

    def sign_by_hand(self, key, payload_type=MMAR_TYPE, payload=None):
        """Sign the present manifest with any key, as an attacker would."""
        present = read_envelope(self.envelope.read_bytes())
        envelope = sign(payload_type, payload or present.payload, [key])
        self.envelope.write_bytes(envelope.to_json())


def _add(mmar):
    (mmar / "docs").mkdir(exist_ok=True)
    (mmar / "docs" / "more.txt").write_text("x")
    return "Not signed: docs/more.txt"
