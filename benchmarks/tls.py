# SPDX-License-Identifier: Apache-2.0
"""What a run under mutual TLS needs: certificates of the floor, kits of the program.

Both have keys of ECDSA P-256. They are made once a run, when they are first asked for.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

import grpc

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mmar_runner.testing.kits import Kits

_LEAD: Final = "lead@example.org"
_ROOT: Final = "rootCA.pem"
ECHO: Final = Path(__file__).resolve().parent.parent / "mmars" / "echo"


@dataclass(frozen=True, slots=True)
class Trusted:
    """A provisioned project and an MMAR that was signed for it.

    Attributes:
        kits: The start-up kits.
        mmar: The MMAR's folder.
    """

    kits: Kits
    mmar: Path


class TlsFolder:
    """The keys and certificates of one run.

    Args:
        folder: Where they are made.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._projects: dict[int, Trusted] = {}

    @cached_property
    def floor(self) -> Path:
        """The folder that the floor's ``--tls`` names."""
        folder = self._folder / "floor"
        folder.mkdir()
        _make_certificates(folder)
        return folder

    def project(self, clients: int) -> Trusted:
        """Return a project of so many clients, named site-1 and so on."""
        if clients not in self._projects:
            names = [f"site-{number}" for number in range(1, clients + 1)]
            self._projects[clients] = _provision(self._folder / f"project-{clients}", names)
        return self._projects[clients]


def server_credentials(folder: Path) -> grpc.ServerCredentials:
    """Return credentials of a floor's server, which lets nobody in without a certificate."""
    pair = [((folder / "server.key").read_bytes(), (folder / "server.crt").read_bytes())]
    root = (folder / _ROOT).read_bytes()
    return grpc.ssl_server_credentials(pair, root, require_client_auth=True)


@cache
def client_credentials(folder: Path) -> grpc.ChannelCredentials:
    """Return credentials of a client, from the floor's folder or a client's kit."""
    names = (_ROOT, "client.key", "client.crt")
    return grpc.ssl_channel_credentials(*((folder / name).read_bytes() for name in names))


def sign(mmar: Path, kits: Kits) -> None:
    """Sign an MMAR as the project's lead."""
    call = ["-m", "mmar_runner", "sign-mmar", str(mmar), "--kit", str(kits.admin(_LEAD))]
    subprocess.run([sys.executable, *call], check=True, capture_output=True)


def _provision(folder: Path, names: Sequence[str]) -> Trusted:
    # Late: the processes of the floor import this module, and hold nothing of the program.
    from mmar_runner.testing.kits import make_kits  # noqa: PLC0415

    kits = make_kits(folder, clients=names, admins=[_LEAD])
    mmar = shutil.copytree(ECHO, folder / "echo")
    sign(mmar, kits)
    return Trusted(kits, mmar)


def _make_certificates(folder: Path) -> None:
    from datetime import UTC, datetime, timedelta  # noqa: PLC0415 - as above

    from mmar_runner.security.identity import Identity, Role  # noqa: PLC0415
    from mmar_runner.security.pki.issuing import Issuer, issue, make_root  # noqa: PLC0415
    from mmar_runner.security.pki.keys import new_tls_key, save_private_key  # noqa: PLC0415

    now, life, key = datetime.now(UTC), timedelta(days=1), new_tls_key()
    issuer = Issuer(key, make_root(key, "floor", now, life))
    (folder / _ROOT).write_bytes(issuer.certificate)
    for role, hosts in ((Role.SERVER, ["localhost"]), (Role.CLIENT, [])):
        key = new_tls_key()
        identity = Identity("floor", role, str(role))
        certificate = issue(issuer, identity, key.public_key(), (now, now + life), hosts)
        (folder / f"{role}.crt").write_bytes(certificate)
        save_private_key(folder / f"{role}.key", key)
