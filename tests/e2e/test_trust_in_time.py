# SPDX-License-Identifier: Apache-2.0
"""Trust while a run lasts: what is renewed, revoked and restarted, with real processes."""

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
from mmar_runner.interfaces.observer import Topic
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

    def client(self, server: RunningServer, name: str, *options: str) -> RunningClient:
        return RunningClient(
            self.mmar,
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

    def renew(self, certificate: Path) -> str:
        """Let the office put a new certificate for the same key in place of the old one."""
        old = read_peer_certificate(certificate.read_bytes())
        key = load_tls_key(certificate.with_suffix(".key")).public_key()
        now = datetime.now(UTC)
        pem = issue(self.issuer, old.identity, key, (now - DAY, now + DAY), ["localhost"])
        fresh = certificate.with_suffix(".fresh")
        fresh.write_bytes(pem)
        fresh.replace(certificate)
        return read_peer_certificate(pem).fingerprint

    def revoke(self, name: str) -> None:
        path = self.kits.server / "revocations.json"
        serial = read_peer_certificate((self.kits.out / name / "client.crt").read_bytes()).serial
        old = read_revocations(path.read_bytes(), self.issuer.certificate)
        now = datetime.now(UTC)
        new = RevocationList("demo", old.version + 1, now, now + DAY, (serial,))
        fresh = path.with_suffix(".fresh")
        fresh.write_bytes(sign_revocations(new, self.issuer.key))
        fresh.replace(path)

    def audit(self) -> list[dict[str, Any]]:
        text = (self.folder / "ws" / "audit.jsonl").read_text()
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def hashes(server: RunningServer) -> list[str]:
    return [entry["model_sha256"] for entry in server.summary()["rounds"]]


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The models of a run that nothing happens to."""
    federation = Federation(tmp_path_factory.mktemp("calm"))
    with federation.running() as (server, _, _):
        assert server.wait() == 0, server.stderr
        return hashes(server)


def test_certificates_renewed_during_a_run_cost_no_round(tmp_path: Path, calm: list[str]) -> None:
    """The server's and a site's; a token is bound to a certificate, so the site registers."""
    federation = Federation(tmp_path)
    with federation.running() as (server, first, second):
        server.wait_for(Topic.ROUND_FINISHED, round=0)
        federation.renew(federation.kits.server / "server.crt")
        federation.renew(federation.kits.client("site-1") / "client.crt")
        assert server.wait() == 0, server.stderr
        assert [first.wait(), second.wait()] == [0, 0]
    assert hashes(server) == calm
    assert all(
        line["decision"] != "refused" or line["reason"] == "TOKEN_NOT_BOUND"
        for line in federation.audit()
    )
    own = (tmp_path / "clients" / "site-1" / "audit.jsonl").read_text()
    assert '"renewed":true' in own


def test_a_server_that_is_killed_knows_its_tokens_again(tmp_path: Path, calm: list[str]) -> None:
    """Nobody registers again, and the models are those of a calm run."""
    federation = Federation(tmp_path)
    with federation.running() as (server, first, second):
        server.wait_for(Topic.ROUND_FINISHED, round=1)
        address = server.address()
        server.kill()
        before = [line for line in federation.audit() if line["action"] == "Register"]
        with federation.server(address) as again:
            assert again.wait() == 0, again.stderr
            assert [first.wait(), second.wait()] == [0, 0]
            assert hashes(again) == calm
    after = [line for line in federation.audit() if line["action"] == "Register"]
    assert after == before
    assert all(line["decision"] != "refused" for line in federation.audit())


def test_a_site_revoked_in_the_middle_leaves_and_the_others_finish(
    tmp_path: Path, calm: list[str]
) -> None:
    """It joins too late to be asked for much, is revoked, and a clone fares no better."""
    federation = Federation(tmp_path)
    with federation.running() as (server, first, second):
        server.wait_for(Topic.ROUND_FINISHED, round=0)
        with federation.client(server, "site-3") as third:
            third.wait_for(Topic.REGISTERED)
            federation.revoke("site-3")
            assert third.wait() == 1, third.stdout
            assert "CERT_REVOKED" in third.stdout + third.stderr or "revoked" in third.stderr
        assert server.wait() == 0, server.stderr
        assert [first.wait(), second.wait()] == [0, 0]
    refused = [line for line in federation.audit() if line["decision"] == "refused"]
    assert {(line["who"], line["reason"]) for line in refused} == {
        ("client site-3", "CERT_REVOKED")
    }
    left = [line for line in federation.audit() if line["action"] == "leave"]
    assert "site-3" in [line["data"]["client"] for line in left]


def test_a_cloned_kit_is_turned_away_while_its_owner_is_there(
    tmp_path: Path, calm: list[str]
) -> None:
    federation = Federation(tmp_path)
    with federation.running() as (server, first, second):
        server.wait_for(Topic.ROUND_FINISHED, round=0)
        clone = RunningClient(
            federation.mmar,
            server.address(),
            "site-1",
            tmp_path / "elsewhere",
            variables=VARIABLES,
            kit=federation.kits.client("site-1"),
        )
        with clone:
            assert clone.wait() == 1
            assert "is taken by a session that is alive" in clone.stderr
        assert server.wait() == 0, server.stderr
        assert [first.wait(), second.wait()] == [0, 0]
    assert hashes(server) == calm
    refused = [line for line in federation.audit() if line["decision"] == "refused"]
    assert [(line["who"], line["reason"]) for line in refused] == [("client site-1", "NAME_TAKEN")]
