# SPDX-License-Identifier: Apache-2.0
"""A project of two sites and an administrator, and what is looked at of its kits."""

from __future__ import annotations

from datetime import UTC, datetime

from mmar_runner.security.identity import Role
from mmar_runner.security.kits.kit import load_kit
from mmar_runner.security.pki.certificates import read_peer_certificate
from mmar_runner.security.pki.revocation import read_revocations
from mmar_runner.security.provisioning.calls import provision

NOW = datetime.now(UTC).replace(microsecond=0)
LEAD, OWN = "lead@example.org", "own@example.org"
ROLES = {"localhost": Role.SERVER, LEAD: Role.ADMIN, OWN: Role.ADMIN}
PROJECT = f"""\
name: lungs
server: {{org: university, cn: localhost}}
fl_clients:
  - {{org: north, client_name: site-1}}
  - {{org: south, client_name: site-2}}
admin_clients:
  - {{org: university, email: {LEAD}}}
"""


class World:
    """A project file and the folder of its kits."""

    def __init__(self, folder):
        self.file = folder / "project.yml"
        self.out = folder / "kits"
        self.file.write_text(PROJECT)

    def edit(self, old, new):
        text = self.file.read_text()
        assert old in text
        self.file.write_text(text.replace(old, new, 1))

    def make(self, now=NOW, **options):
        return provision(self.file, self.out, now=now, **options)

    def kit(self, name, now=NOW, out=None):
        return load_kit((out or self.out) / name, ROLES.get(name, Role.CLIENT), now=now)

    def files(self, *patterns):
        return {
            str(path.relative_to(self.out)): path.read_bytes()
            for pattern in patterns or ("*",)
            for path in sorted(self.out.rglob(pattern))
            if path.is_file()
        }

    def revocations(self, name="localhost"):
        folder = self.out / name
        root = (self.out / "authority" / "rootCA.pem").read_bytes()
        return read_revocations((folder / "revocations.json").read_bytes(), root)


def changes(done):
    return {outcome.name: outcome.change for outcome in done.outcomes}


def serial(world, name):
    certificate = "server.crt" if name == "localhost" else "client.crt"
    return read_peer_certificate((world.out / name / certificate).read_bytes()).serial
