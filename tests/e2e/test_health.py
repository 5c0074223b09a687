# SPDX-License-Identifier: Apache-2.0
"""``mmar-runner health``, as a container engine or a monitor calls it."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID
from jsonschema import Draft202012Validator

from mmar_runner.documents.schema_store import load_schema
from mmar_runner.interfaces.observer import Topic
from mmar_runner.security.identity import Role
from mmar_runner.security.pki import issuing
from mmar_runner.testing.kits import Kits, make_kits
from mmar_runner.testing.processes import RunningClient, RunningServer, free_port
from mmar_runner.wire.channel import open_channel
from mmar_runner.wire.messages import RegisterRequest
from mmar_runner.wire.methods import FEDERATED_TRAINING
from mmar_runner.wire.stub import FederationStub

ECHO = Path(__file__).resolve().parents[2] / "mmars" / "echo"
SMALL = {"MIN_NUM_CLIENTS": 1, "NUM_ROUNDS": 1, "MODEL_MB": 0.01}
QUICK = ("--durability", "process")


def health(*words: str | Path) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "mmar_runner", "health", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout.strip(), done.stderr.strip()


@pytest.fixture(scope="module")
def kits(tmp_path_factory: pytest.TempPathFactory) -> Kits:
    return make_kits(tmp_path_factory.mktemp("project"), combiners=["east"])


def signed(kits: Kits, folder: Path) -> Path:
    mmar = folder / "echo"
    done = [sys.executable, "-m", "mmar_runner", "sign-mmar", str(mmar), "--kit"]
    subprocess.run(["cp", "-r", str(ECHO), str(mmar)], check=True)
    subprocess.run([*done, str(kits.admin("lead@example.org"))], check=True, capture_output=True)
    return mmar


def test_a_server_of_one_run_is_ready_while_that_is_open(tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    ready = (address, "--insecure", "--service", FEDERATED_TRAINING)
    code, said, why = health(*ready)
    assert (code, said) == (1, "")
    assert why.startswith(f"error [UNREACHABLE]: no answer from {address}: ")
    with RunningServer(
        ECHO, tmp_path / "ws", *QUICK, variables=SMALL, listen=address
    ) as server:  # it begins while it is asked
        assert health(*ready, "--wait", "40") == (
            0,
            f"{address}: {FEDERATED_TRAINING} is SERVING",
            "",
        )
        code, said, _ = health(address, "--insecure", "--json")
        Draft202012Validator(load_schema("health")).validate(json.loads(said))
        assert (code, json.loads(said)) == (
            0,
            {"target": address, "service": "", "status": "SERVING"},
        )
        code, _, why = health(address, "--insecure", "--service", "nope")
        assert code == 1
        assert "[SERVICE_UNKNOWN]" in why
        server.terminate()
        assert server.wait() == 3
    assert health(*ready)[0] == 1


async def _join(address: str, name: str) -> None:
    """Register a client that is never heard of again."""
    async with open_channel(address) as channel:
        request = RegisterRequest(
            client_name=name, session_key=bytes(range(32)), task_name="echo", compressions=["zstd"]
        )
        await FederationStub(channel, address).register(request, timeout=10)


@pytest.mark.slow
def test_a_server_that_tells_its_end_is_there_and_not_ready(tmp_path: Path) -> None:
    """One client has not heard of the end: it is waited for, and no new one is taken."""
    slow = {**SMALL, "SECONDS": 2}
    with RunningServer(ECHO, tmp_path / "ws", *QUICK, variables=slow) as server:
        address = server.address()
        with RunningClient(ECHO, address, "site-1", tmp_path / "c", variables=slow) as client:
            server.wait_for(Topic.ROUND_STARTED)
            asyncio.run(_join(address, "site-2"))
            server.wait_for(Topic.RUN_ENDED)
            code, said, _ = health(address, "--insecure", "--service", FEDERATED_TRAINING)
            assert (code, said) == (1, f"{address}: {FEDERATED_TRAINING} is NOT_SERVING")
            assert health(address, "--insecure")[0] == 0
            assert client.wait() == 0


def test_a_kit_knows_the_address_and_who_must_answer(kits: Kits, tmp_path: Path) -> None:
    mmar = signed(kits, tmp_path)
    # The kit's own port is another program's on this machine, perhaps: an address is given.
    with RunningServer(mmar, tmp_path / "ws", *QUICK, variables=SMALL, kit=kits.server) as server:
        address = server.address().replace("localhost", "127.0.0.1")
        lead = kits.admin("lead@example.org")
        for kit in (kits.server, kits.client("site-1"), kits.client("east"), lead):
            assert health(address, "--kit", kit) == (0, f"{address}: the server is SERVING", "")
        code, _, why = health(address, "--insecure")
        assert code == 1
        assert "[TLS_NEEDED]" in why
    code, _, why = health("--kit", kits.server, "--timeout", "2")
    assert code == 1, "nobody listens where the kit says"
    assert "127.0.0.1:8002" in why


def test_a_servers_certificate_of_before_cannot_ask_and_others_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was good for answering alone."""
    answering = {Role.SERVER: (ExtendedKeyUsageOID.SERVER_AUTH,)}
    monkeypatch.setattr(issuing, "_USAGES", answering)
    kits = make_kits(tmp_path / "before")
    mmar = signed(kits, tmp_path)
    with RunningServer(mmar, tmp_path / "ws", *QUICK, variables=SMALL, kit=kits.server) as server:
        address = server.address()
        code, said, why = health(address, "--kit", kits.server)
        assert (code, said) == (1, "")
        assert "error [CERT_REFUSED]" in why
        assert "provision renew PROJECT.yml localhost" in why
        assert health(address, "--kit", kits.client("site-1"))[0] == 0


def test_another_projects_server_is_not_believed(kits: Kits, tmp_path: Path) -> None:
    others = make_kits(tmp_path / "others", project="others")
    mmar = signed(kits, tmp_path)
    with RunningServer(mmar, tmp_path / "ws", *QUICK, variables=SMALL, kit=kits.server) as server:
        code, said, why = health(server.address(), "--kit", others.client("site-1"))
    assert (code, said) == (1, "")
    assert "[CERT_AUTHORITY]" in why


def test_a_port_where_nobody_answers_is_given_up_in_time() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        began = time.monotonic()
        code, _, why = health(address, "--insecure", "--timeout", "1")
    assert (code, time.monotonic() - began < 10) == (1, True)
    assert "did not answer in time" in why


def test_a_port_of_another_program_is_no_server() -> None:
    def answer(listening: socket.socket) -> None:
        while True:
            try:
                peer, _ = listening.accept()
            except OSError:
                return
            with peer:
                peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as other:
        answering = threading.Thread(target=answer, args=(other,))
        answering.start()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        code, said, why = health(address, "--insecure")
        other.shutdown(socket.SHUT_RDWR)
    answering.join()
    assert (code, said) == (1, "")
    assert f"{address}" in why


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ((), "USAGE"),
        (("--insecure", "8.8.8.8:8002"), "USAGE"),
        (("--insecure", "nonsense"), "USAGE"),
        (("--kit", "nowhere"), "KIT"),
    ],
)
def test_wrong_usage_is_said_at_once(words: tuple[Any, ...], reason: str, tmp_path: Path) -> None:
    code, said, why = health(*words)
    assert (code, said) == (2, "")
    assert f"error [{reason}" in why
