# SPDX-License-Identifier: Apache-2.0
"""A standing server with its clients and administrators, as real processes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mmar_runner.console.session import AdminSession, admin_session
from mmar_runner.security.identity import Role
from mmar_runner.security.kits.kit import load_kit
from mmar_runner.testing.kits import Kits, make_kits
from mmar_runner.testing.processes import RunningProgram

ECHO = Path(__file__).parent.parent / "mmars" / "echo"
LEAD, ANN = "lead@a.org", "ann@b.org"
SITES = ("site-1", "site-2")
_ORGS = {"server": "a.org", "site-1": "a.org", "site-2": "b.org", LEAD: "a.org", ANN: "b.org"}


def office_kits(folder: Path) -> Kits:
    """Provision a project of two organisations; the one of Ann does not see the other's."""
    usual = make_kits(folder / "usual", clients=SITES, admins=(LEAD, ANN), orgs=_ORGS)
    value = json.loads((usual.server / "authorization.json").read_text())
    value["roles"]["researcher"] = "brings runs of its own"
    rights = {"upload_mmar": True, "deploy_all": True, "train_all": True, "view_self": True}
    value["groups"]["general"]["role_rights"]["researcher"] = rights
    value["users"][ANN]["roles"] = ["researcher"]
    return make_kits(
        folder / "project",
        clients=SITES,
        admins=(LEAD, ANN),
        orgs=_ORGS,
        authorization=value,
    )


class Office(RunningProgram):
    """``run-server`` without an MMAR.

    Args:
        kits: The project's.
        folder: Where its workspace lies, and what it says.
        listen: Where clients come in.
        rounds: Of every run.
    """

    def __init__(
        self, kits: Kits, folder: Path, listen: str = "127.0.0.1:0", *, rounds: int = 2
    ) -> None:
        self.kits = kits
        self.workspace = folder / "ws"
        self._endpoint = self.workspace / "endpoint.json"
        with suppress(FileNotFoundError):
            self._endpoint.unlink()  # of one that was killed
        arguments = ["run-server", "--kit", str(kits.server), "--workspace", str(self.workspace)]
        arguments += ["--listen", listen, "--admin-listen", "127.0.0.1:0"]
        arguments += ["--set", "MIN_NUM_CLIENTS=2", "--set", f"NUM_ROUNDS={rounds}"]
        super().__init__(arguments, folder=folder, label="office")

    @property
    def clients_address(self) -> str:
        """Where clients come in."""
        return str(self._ports()["listen"])

    @property
    def admin_address(self) -> str:
        """Where administrators do."""
        return f"localhost:{str(self._ports()['admin']).rpartition(':')[2]}"

    def client(self, name: str) -> RunningProgram:
        """Start a client that waits for orders."""
        port = self.clients_address.rpartition(":")[2]
        arguments = ["run-client", "--kit", str(self.kits.client(name)), "--server"]
        arguments += [f"localhost:{port}", "--workspace", str(self.workspace.parent / "clients")]
        return RunningProgram(arguments, folder=self.workspace.parent, label=name)

    def order(self, *words: str, user: str = LEAD, code: int = 0) -> dict[str, Any]:
        """Order something and return what the console says as JSON."""
        command = ["-m", "mmar_runner", "admin", "--kit", str(self.kits.admin(user)), "--yes"]
        command += ["--server", self.admin_address, "--json", *words]
        done = subprocess.run(
            [sys.executable, *command], capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == code, (words, done.returncode, done.stdout, done.stderr)
        return dict(json.loads(done.stdout))

    @asynccontextmanager
    async def session(
        self, user: str = LEAD, target: str | None = None
    ) -> AsyncIterator[AdminSession]:
        """Log in as an administrator."""
        kit = load_kit(self.kits.admin(user), Role.ADMIN, now=datetime.now(UTC))
        async with admin_session(kit, target or self.admin_address) as session:
            yield session

    def state(self) -> dict[str, Any]:
        """Return what the server remembers."""
        return dict(json.loads((self.workspace / "federation.json").read_text()))

    def _ports(self) -> dict[str, Any]:
        self._until(self._endpoint.exists, "no endpoint.json", 40)
        return dict(json.loads(self._endpoint.read_text()))


def signed_echo(folder: Path, kits: Kits, name: str = "echo", user: str = LEAD) -> Path:
    """Return a signed copy of the sample."""
    mmar = shutil.copytree(ECHO, folder / name)
    command = ["sign-mmar", str(mmar), "--kit", str(kits.admin(user))]
    subprocess.run([sys.executable, "-m", "mmar_runner", *command], check=True, capture_output=True)
    return mmar
