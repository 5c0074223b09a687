# SPDX-License-Identifier: Apache-2.0
"""Start-up kits for tests and demonstrations: a whole project in a moment."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from mmar_runner.security.provisioning.calls import provision
from mmar_runner.security.provisioning.enrolment import DEFAULT_LIFE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


#: Of combiners: each has a port of its own.
_FIRST_PORT: Final = 9002


@dataclass(frozen=True, slots=True)
class Kits:
    """Where the kits of a project lie.

    Attributes:
        project_file: ``project.yml``.
        out: The folder of the kits.
    """

    project_file: Path
    out: Path

    @property
    def server(self) -> Path:
        """The server's kit."""
        return self.out / "localhost"

    def client(self, name: str) -> Path:
        """Return a client's kit."""
        return self.out / name

    def admin(self, email: str) -> Path:
        """Return an administrator's kit."""
        return self.out / email


def make_kits(
    folder: Path,
    *,
    clients: Sequence[str] = ("site-1",),
    admins: Sequence[str] = ("lead@example.org",),
    project: str = "demo",
    orgs: Mapping[str, str] | None = None,
    authorization: Mapping[str, Any] | None = None,
    life: timedelta = DEFAULT_LIFE,
    combiners: Sequence[str] = (),
    assigns: bool = False,
) -> Kits:
    """Provision a project whose server is ``localhost``.

    Args:
        folder: Where ``project.yml`` and the folder ``kits`` are made.
        clients: Names of the clients.
        admins: E-mail addresses of the administrators.
        project: The project's name.
        orgs: Organisations by participant, the server's under ``server``; whoever is not
            named is in ``org-`` and its own name, administrators in the server's.
        authorization: What ``authorization.json`` is to say; generated if None.
        life: For how long the certificates hold.
        combiners: Names of combiners on ``localhost``.
        assigns: Whether the server assigns clients to them.
    """
    given = orgs or {}
    server_org = given.get("server", "org-server")
    value = {
        "name": project,
        "server": {
            "cn": "localhost",
            "org": server_org,
            "min_num_clients": 1,
            "max_num_clients": max(100, len(clients)),
            "assign_clients": assigns,
        },
        "combiners": [
            {
                "name": name,
                "cn": "localhost",
                "fed_learn_port": _FIRST_PORT + number,
                "org": given.get(name, server_org),
            }
            for number, name in enumerate(combiners)
        ],
        "fl_clients": [
            {"client_name": name, "org": given.get(name, f"org-{name}")} for name in clients
        ],
        "admin_clients": [
            {"email": email, "org": given.get(email, server_org)} for email in admins
        ],
    }
    folder.mkdir(parents=True, exist_ok=True)
    kits = Kits(folder / "project.yml", folder / "kits")
    kits.project_file.write_text(yaml.safe_dump(value))
    policy = None
    if authorization is not None:
        policy = folder / "authorization.json"
        policy.write_text(json.dumps(authorization))
    now = datetime.now(UTC)
    provision(kits.project_file, kits.out, now=now, authorization=policy, life=life)
    return kits
