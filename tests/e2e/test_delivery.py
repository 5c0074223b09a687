# SPDX-License-Identifier: Apache-2.0
"""A client with nothing but its kit: it gets the MMAR, judges it, and runs it or declines."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from mmar_runner.interfaces.observer import Topic
from mmar_runner.security.audit.reading import read_audit
from mmar_runner.testing.kits import Kits
from mmar_runner.testing.processes import RunningClient, RunningServer

MIB = 1 << 20
ECHO = Path(__file__).parents[2] / "mmars" / "echo"
LEAD = "lead@example.org"
ONE = {"NUM_ROUNDS": 2, "MIN_NUM_CLIENTS": 1, "MODEL_MB": 0.1, "SECONDS": 0.01}


@pytest.fixture
def site(kits: Kits, tmp_path: Path) -> Path:
    """A kit that remembers nothing of other tests."""
    return shutil.copytree(kits.client("site-1"), tmp_path / "kit-site-1")


def echo(folder: Path) -> Path:
    return shutil.copytree(ECHO, folder / "echo")


def sign(mmar: Path, kits: Kits, *options: str) -> Path:
    command = ["sign-mmar", str(mmar), "--kit", str(kits.admin(LEAD)), *options]
    subprocess.run([sys.executable, "-m", "mmar_runner", *command], check=True, capture_output=True)
    return mmar


def serving(mmar: Path, kits: Kits, workspace: Path, **variables: Any) -> RunningServer:
    process = ("--durability", "process")
    return RunningServer(mmar, workspace, *process, variables={**ONE, **variables}, kit=kits.server)


def joining(
    server: str, site: Path, workspace: Path, *options: str, **variables: Any
) -> RunningClient:
    port = server.rpartition(":")[2]
    variables = {**ONE, **variables}
    name = "site-1"
    target = f"localhost:{port}"
    return RunningClient(None, target, name, workspace, *options, variables=variables, kit=site)


def audited(folder: Path, action: str) -> list[tuple[str, str]]:
    lines = read_audit(folder / "audit.jsonl")
    return [(line["decision"], line["reason"]) for line in lines if line["action"] == action]


def test_a_client_with_nothing_but_its_kit_runs_what_the_server_deploys(
    kits: Kits, site: Path, tmp_path: Path
) -> None:
    mmar = sign(echo(tmp_path), kits)
    with serving(mmar, kits, tmp_path / "ws") as server:
        with joining(server.address(), site, tmp_path / "c") as client:
            assert client.wait() == 0, client.stderr
        assert server.wait() == 0, server.stderr
    [received] = client.observations(Topic.PACKAGE_RECEIVED)
    assert received["mmar"] == "echo"
    [copy] = (client.workspace / "store").glob("*/echo")
    assert (copy / "signature.json").read_bytes() == (mmar / "signature.json").read_bytes()
    assert list((client.workspace / "packages").iterdir()) == []
    assert server.summary()["status"] == "finished"
    assert audited(client.workspace, "mmar.run") == [("accepted", "")]
    assert audited(tmp_path / "ws", "GetPackage") == [("accepted", "")]


@contextmanager
def narrow(address: str, limit: int) -> Iterator[tuple[str, threading.Event]]:
    """Pass bytes on to a server, and of its answers only so many.

    Yields:
        Where to call instead, and what is set once no more answers pass.
    """
    host, _, port = address.rpartition(":")
    full, threads = threading.Event(), list[threading.Thread]()

    def start(call: Callable[..., None], *args: Any) -> None:
        threads.append(threading.Thread(target=call, args=args))
        threads[-1].start()

    def pass_on(source: socket.socket, target: socket.socket, left: float) -> None:
        with suppress(OSError):
            while left > 0 and (data := source.recv(1 << 16)):
                target.sendall(data)
                left -= len(data)
            if left <= 0:
                full.set()

    def accept() -> None:
        with suppress(OSError):
            while True:
                near = sockets.enter_context(listener.accept()[0])
                far = sockets.enter_context(socket.create_connection((host, int(port))))
                start(pass_on, near, far, float("inf"))
                start(pass_on, far, near, limit)

    with ExitStack() as sockets, socket.create_server(("127.0.0.1", 0)) as listener:
        start(accept)
        yield f"localhost:{listener.getsockname()[1]}", full
        listener.shutdown(socket.SHUT_RDWR)
        threads[0].join()
        for each in threads[1:]:
            each.join(10)  # the client is dead and its server ended: both sides are closed


def test_a_client_that_is_killed_in_the_middle_goes_on_at_its_offset(
    kits: Kits, site: Path, tmp_path: Path
) -> None:
    mmar = echo(tmp_path).rename(tmp_path / "large")  # a name of its own: another MMAR
    (mmar / "models").mkdir(exist_ok=True)
    (mmar / "models" / "start.safetensors").write_bytes(os.urandom(24 * MIB))
    sign(mmar, kits)
    with serving(mmar, kits, tmp_path / "ws") as server:
        address = server.address()
        part = tmp_path / "c" / "site-1" / "packages" / "incoming.part"
        with (
            narrow(address, 8 * MIB) as (detour, full),
            joining(detour, site, tmp_path / "c") as client,
        ):
            assert full.wait(30), client.stderr
            deadline = time.monotonic() + 20
            while part.stat().st_size < MIB and time.monotonic() < deadline:
                threading.Event().wait(0.02)
            client.kill()
        kept = part.stat().st_size
        assert MIB <= kept <= 8 * MIB
        with joining(address, site, tmp_path / "c") as again:
            assert again.wait() == 0, again.stderr
        assert server.wait() == 0, server.stderr
    [received] = again.observations(Topic.PACKAGE_RECEIVED)
    assert received["resumed_at"] == kept


def unsign(copy: Path, kits: Kits) -> None:
    (copy / "signature.json").unlink()


def alter(copy: Path, kits: Kits) -> None:
    path = copy / "config" / "config_fed_client.json"
    path.write_bytes(path.read_bytes() + b"\n")


def age(copy: Path, kits: Kits) -> None:
    sign(copy, kits, "--mmar-version", "1")


def readdress(copy: Path, kits: Kits) -> None:
    sign(copy, kits, "--audience", "site-2", "--mmar-version", "9")


def bring_code(copy: Path, kits: Kits) -> None:
    (copy / "custom").mkdir()
    canary = copy.parents[2] / "canary"
    (copy / "custom" / "mine.py").write_text(f"open({str(canary)!r}, 'w')\n")
    sign(copy, kits, "--mmar-version", "9")


def says_where_and_what_would_help(stderr: str, site: Path, mmar: Path) -> None:
    """Every refusal is an error, the places under it, and then the mend."""
    said = stderr[stderr.index("error [BYOC_NOT_ALLOWED]: The policy allows no code") :]
    policy, subject, hint = said.splitlines()[1:4]
    assert policy == f"    this site's policy: {site}/site_policy.json:4:11 /byoc"
    assert subject == "    in the MMAR: custom/mine.py"
    assert hint.startswith("hint: ")
    assert re.search(rf"`mmar-runner policy accept [0-9a-f]{{64}} --kit {site}`", hint)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (unsign, "SIGNATURE_MISSING"),
        (alter, "MANIFEST_MISMATCH"),
        (age, "VERSION_ROLLBACK"),
        (readdress, "WRONG_AUDIENCE"),
        (bring_code, "BYOC_NOT_ALLOWED"),
    ],
)
def test_what_a_compromised_server_delivers_is_declined_and_leaves_nothing(
    spoil: Callable[[Path, Kits], None], reason: str, kits: Kits, site: Path, tmp_path: Path
) -> None:
    mmar = sign(echo(tmp_path), kits, "--mmar-version", "5")
    state = site / "state"
    state.mkdir(mode=0o700, exist_ok=True)
    (state / "versions.json").write_text(json.dumps({"demo": {"echo": 5}}))
    with serving(mmar, kits, tmp_path / "ws") as server:
        address = server.address()
        # The server is not what it was when it looked at the MMAR.
        [copy] = (tmp_path / "ws" / "store").glob("*/echo")
        subprocess.run(["chmod", "-R", "u+w", str(copy)], check=True)
        spoil(copy, kits)
        with joining(address, site, tmp_path / "c") as client:
            assert client.wait() == 1, client.stdout
        declined = server.wait_for(Topic.SITE_DECLINED)
        assert (declined["client"], declined["reason"]) == ("site-1", reason)
        assert f"error [{reason}]" in client.stderr
        if spoil is bring_code:
            says_where_and_what_would_help(client.stderr, site, mmar)
        server.terminate()
        assert server.wait() == 3, server.stderr
    assert audited(client.workspace, "mmar.run") == [("refused", reason)]
    assert audited(tmp_path / "ws", "Decline") == [("noted", reason)]
    assert list((client.workspace / "packages").iterdir()) == []
    assert list((client.workspace / "store").glob("[!.]*")) == []
    assert not (client.workspace / "run_1").exists()
    assert not list(tmp_path.rglob("canary"))
    assert json.loads((state / "versions.json").read_text()) == {"demo": {"echo": 5}}
