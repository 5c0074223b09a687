# SPDX-License-Identifier: Apache-2.0
"""New keys for who lost theirs, while a server runs: the old kit is out, the new one in."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mmar_runner.interfaces.observer import Topic
from mmar_runner.security.audit.reading import read_audit
from mmar_runner.testing.kits import Kits, make_kits
from mmar_runner.testing.processes import RunningClient, RunningServer

if TYPE_CHECKING:
    from subprocess import CompletedProcess

ECHO = Path(__file__).parents[2] / "mmars" / "echo"
LEAD = "lead@example.org"
ONE = {"NUM_ROUNDS": 2, "MIN_NUM_CLIENTS": 1, "MODEL_MB": 0.1, "SECONDS": 0.01}


def call(*arguments: object, code: int = 0) -> CompletedProcess[str]:
    command = [sys.executable, "-m", "mmar_runner", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def rekey(kits: Kits, name: str) -> None:
    call("provision", "renew", kits.project_file, name, "--new-key", "--out", kits.out)


def signed(kits: Kits, folder: Path) -> Path:
    mmar = shutil.copytree(ECHO, folder / "echo")
    call("sign-mmar", mmar, "--kit", kits.admin(LEAD))
    return mmar


def joining(
    server: RunningServer, kit: Path, workspace: Path, mmar: Path | None = None
) -> RunningClient:
    port = server.address().rpartition(":")[2]
    variables: dict[str, Any] = ONE
    return RunningClient(
        mmar, f"localhost:{port}", "site-1", workspace, "--json", variables=variables, kit=kit
    )


def wait_for_list(audit: Path) -> None:
    """Wait until the server has taken the new list from its kit, which it looks at by itself."""
    pause, end = threading.Event(), time.monotonic() + 40
    while not any(line["action"] == "revocations" for line in read_audit(audit)):
        assert time.monotonic() < end, "the server did not take the list"
        pause.wait(0.1)


def test_a_running_server_refuses_the_stolen_kit_and_takes_the_new_one(tmp_path: Path) -> None:
    kits = make_kits(tmp_path / "project")
    mmar = signed(kits, tmp_path)
    stolen = shutil.copytree(kits.client("site-1"), tmp_path / "stolen")
    options = ("--durability", "process")
    with RunningServer(mmar, tmp_path / "ws", *options, variables=ONE, kit=kits.server) as server:
        server.address()
        rekey(kits, "site-1")
        wait_for_list(tmp_path / "ws" / "audit.jsonl")
        with joining(server, stolen, tmp_path / "thief") as thief:
            assert thief.wait() == 1, thief.stdout
            assert "CERT_REVOKED" in thief.stdout + thief.stderr
        with joining(server, kits.client("site-1"), tmp_path / "c") as client:
            assert client.wait() == 0, client.stdout + client.stderr
        assert server.wait() == 0, server.stderr
        assert server.observations(Topic.UPDATE_ACCEPTED, client="site-1")


def test_a_server_that_was_revoked_serves_again_with_new_keys(tmp_path: Path) -> None:
    kits = make_kits(tmp_path / "project")
    mmar = signed(kits, tmp_path)
    call("provision", "revoke", kits.project_file, "localhost", "--out", kits.out)
    refused = call("run-server", mmar, "--kit", kits.server, "--workspace", tmp_path / "no", code=1)
    assert "revoked" in refused.stderr
    rekey(kits, "localhost")
    options = ("--durability", "process")
    with RunningServer(mmar, tmp_path / "ws", *options, variables=ONE, kit=kits.server) as server:
        with joining(server, kits.client("site-1"), tmp_path / "c") as client:
            assert client.wait() == 0, client.stdout + client.stderr
        assert server.wait() == 0, server.stderr


@pytest.mark.parametrize("brought", [False, True], ids=["delivered", "own folder"])
def test_a_site_speaks_to_no_server_whose_key_was_stolen(tmp_path: Path, brought: bool) -> None:
    kits = make_kits(tmp_path / "project")
    mmar = signed(kits, tmp_path)
    stolen = shutil.copytree(kits.server, tmp_path / "stolen")
    rekey(kits, "localhost")
    options = ("--durability", "process")
    with RunningServer(mmar, tmp_path / "evil", *options, variables=ONE, kit=stolen) as server:
        victim = joining(server, kits.client("site-1"), tmp_path / "c", mmar if brought else None)
        with victim:
            assert victim.wait() == 1, victim.stdout
        assert "CERT_REVOKED" in victim.stdout + victim.stderr
        assert not server.observations(Topic.CLIENT_JOINED)
    lines = list(read_audit(next((tmp_path / "c").rglob("audit.jsonl"))))
    refused = [(line["action"], line["reason"]) for line in lines if line["decision"] == "refused"]
    assert refused == [("Session", "CERT_REVOKED")]
    honest = RunningServer(mmar, tmp_path / "ws", *options, variables=ONE, kit=kits.server)
    with honest, joining(honest, kits.client("site-1"), tmp_path / "d") as client:
        assert client.wait() == 0, client.stdout + client.stderr


def test_what_the_old_release_key_signed_is_refused(tmp_path: Path) -> None:
    kits = make_kits(tmp_path / "project")
    mmar = signed(kits, tmp_path)
    stolen = shutil.copytree(kits.admin(LEAD), tmp_path / "stolen")
    rekey(kits, LEAD)
    forged = shutil.copytree(ECHO, tmp_path / "forged" / "echo")
    call("sign-mmar", forged, "--kit", stolen)
    for signed_before in (mmar, forged):
        answer = call("verify-mmar", signed_before, "--kit", kits.server, "--json", code=1)
        reasons = [s["reason"] for s in json.loads(answer.stdout)["steps"] if not s["accepted"]]
        assert "SIGNER_REVOKED" in reasons
    call("sign-mmar", mmar, "--kit", kits.admin(LEAD), "--mmar-version", "2")
    call("verify-mmar", mmar, "--kit", kits.server)
