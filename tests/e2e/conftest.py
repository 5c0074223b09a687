# SPDX-License-Identifier: Apache-2.0
"""A federation of real processes with start-up kits, whose office a test can play."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mmar_runner.cli.main import main
from mmar_runner.security.pki.certificates import read_peer_certificate
from mmar_runner.security.pki.issuing import Issuer, issue
from mmar_runner.security.pki.keys import load_tls_key
from mmar_runner.security.pki.revocation import RevocationList, read_revocations, sign_revocations
from mmar_runner.testing.kits import Kits, make_kits
from mmar_runner.testing.processes import RunningClient, RunningServer

ECHO = Path(__file__).parents[2] / "mmars" / "echo"
LEAD = "lead@example.org"
SITES = ("site-1", "site-2")
VARIABLES = {"NUM_ROUNDS": 6, "MIN_NUM_CLIENTS": 2, "MODEL_MB": 0.01, "SECONDS": 0.7}
DAY = timedelta(days=1)


class Federation:
    """Kits, a signed MMAR whose leases last three seconds, and its processes."""

    variables = VARIABLES

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kits: Kits = make_kits(folder / "project", clients=(*SITES, "site-3"))
        authority = self.kits.out / "authority"
        root = (authority / "rootCA.pem").read_bytes()
        self.issuer = Issuer(load_tls_key(authority / "root.key"), root)
        self.mmar = Path(shutil.copytree(ECHO, folder / "echo"))
        path = self.mmar / "config" / "config_fed_server.json"
        server = json.loads(path.read_text())
        server["servers"][0]["heart_beat_timeout"] = 3
        path.write_text(json.dumps(server))
        with contextlib.suppress(SystemExit):
            main(["sign-mmar", str(self.mmar), "--kit", str(self.kits.admin(LEAD))])

    def server(self, listen: str = "127.0.0.1:0", **variables: Any) -> RunningServer:
        return RunningServer(
            self.mmar,
            self.folder / "ws",
            variables={**VARIABLES, **variables},
            listen=listen,
            kit=self.kits.server,
        )

    def client(
        self, server: RunningServer, name: str, *options: str, delivered: bool = False
    ) -> RunningClient:
        return RunningClient(
            None if delivered else self.mmar,
            server.address(),
            name,
            self.folder / "clients",
            *options,
            variables=VARIABLES,
            kit=self.kits.client(name),
        )

    @contextmanager
    def running(self) -> Iterator[tuple[RunningServer, RunningClient, RunningClient]]:
        """A server and the two sites that it asks for."""
        with (
            self.server() as server,
            self.client(server, "site-1") as first,
            self.client(server, "site-2") as second,
        ):
            yield server, first, second

    def renew(self, certificate: Path, life: timedelta = DAY) -> str:
        """Let the office put a new certificate for the same key in place of the old one."""
        old = read_peer_certificate(certificate.read_bytes())
        key = load_tls_key(certificate.with_suffix(".key")).public_key()
        now = datetime.now(UTC)
        pem = issue(self.issuer, old.identity, key, (now - DAY, now + life), ["localhost"])
        fresh = certificate.with_suffix(".fresh")
        fresh.write_bytes(pem)
        fresh.replace(certificate)
        return read_peer_certificate(pem).fingerprint

    def revoke(self, name: str) -> None:
        serial = read_peer_certificate((self.kits.out / name / "client.crt").read_bytes()).serial
        now = datetime.now(UTC)
        self._bring(self._next_list(now, now + DAY, serial), self.kits.server)

    def revoke_mmar(self, digest: str) -> None:
        now = datetime.now(UTC)
        data = self._next_list(now, now + DAY, digests=(digest,))
        self._bring(data, self.kits.server)

    def age_revocations(self) -> bytes:
        """Let everybody have a list whose date is past; return it."""
        now = datetime.now(UTC)
        data = self._next_list(now - 2 * DAY, now - DAY)
        self._bring(data, *(path.parent for path in self.kits.out.rglob("revocations.json")))
        return data

    def provision(self) -> None:
        """Let the office call ``provision`` again, which changes nobody's keys."""
        with contextlib.suppress(SystemExit):
            main(["provision", str(self.kits.project_file), "--out", str(self.kits.out)])

    def _next_list(
        self, created: datetime, expires: datetime, *serials: str, digests: tuple[str, ...] = ()
    ) -> bytes:
        path = self.kits.server / "revocations.json"
        old = read_revocations(path.read_bytes(), self.issuer.certificate)
        new = RevocationList("demo", old.version + 1, created, expires, serials, digests=digests)
        return sign_revocations(new, self.issuer.key)

    @staticmethod
    def _bring(data: bytes, *folders: Path) -> None:
        for folder in folders:
            fresh = folder / "revocations.fresh"
            fresh.write_bytes(data)
            fresh.replace(folder / "revocations.json")

    def audit(self) -> list[dict[str, Any]]:
        text = (self.folder / "ws" / "audit.jsonl").read_text()
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    @staticmethod
    def hashes(server: RunningServer) -> list[str]:
        return [entry["model_sha256"] for entry in server.summary()["rounds"]]


@pytest.fixture
def federation(tmp_path: Path) -> Federation:
    """A federation of which nothing runs yet."""
    return Federation(tmp_path)


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The models of a run that nothing happens to."""
    federation = Federation(tmp_path_factory.mktemp("calm"))
    with federation.running() as (server, _, _):
        assert server.wait() == 0, server.stderr
        return federation.hashes(server)
