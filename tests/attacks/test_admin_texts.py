# SPDX-License-Identifier: Apache-2.0
"""What administrators and clients say may be too long, write to a terminal, or be a secret.

A real server that stands, as a process, and whoever speaks to it by hand.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mmar_runner.console.session import admin_session
from mmar_runner.errors import MmarRunnerError
from mmar_runner.interfaces.observer import Topic
from mmar_runner.security.identity import Role
from mmar_runner.security.kits.kit import load_kit
from mmar_runner.testing.offices import ordered
from mmar_runner.testing.processes import RunningClient, RunningProgram, RunningServer
from mmar_runner.testing.standing_stub import StandingStub
from mmar_runner.wire.admin_stub import AdminStub
from mmar_runner.wire.credentials import TlsFiles, channel_credentials
from mmar_runner.wire.messages import AdminReply, ExecuteRequest, LoginRequest
from tests.attacks.meter import Meter
from tests.attacks.test_secrets_in_logs import found, ways_to_write
from tests.attacks.two_orgs import ALICE, BOB, TwoOrgs

import grpc.aio  # isort: skip

MB = 1 << 20
ESCAPES = "a\x1b[2J\x07\r\nb\u202ec\u0000d\x9b31m"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> TwoOrgs:
    return TwoOrgs(tmp_path_factory.mktemp("texts"))


@pytest.fixture(scope="module")
def server(project: TwoOrgs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("server")
    with RunningServer(None, folder / "ws", kit=project.server_kit("texts")) as standing:
        standing.address()
        yield standing
        assert standing.process.poll() is None, standing.stderr
        said = standing.stdout + standing.stderr
        assert "Traceback" not in said, said[-4000:]
        assert all(line.isprintable() for line in said.splitlines())


def by_name(address: str) -> str:
    return f"localhost:{address.rpartition(':')[2]}"


def session_of(project: TwoOrgs, server: RunningServer, user: str = ALICE) -> Any:
    kit = load_kit(project.kits.admin(user), Role.ADMIN, now=datetime.now(UTC))
    return admin_session(kit, by_name(server.admin_address()))


@asynccontextmanager
async def without_bounds(project: TwoOrgs, server: RunningServer) -> Any:
    """Calls of an administrator whose messages may be of any size."""
    kit = project.kits.admin(ALICE)
    tls = TlsFiles(kit / "client.crt", kit / "client.key", kit / "rootCA.pem")
    options = [("grpc.max_send_message_length", -1)]
    target = by_name(server.admin_address())
    shown = channel_credentials(tls)
    async with grpc.aio.secure_channel(target, shown, options=options) as channel:
        yield AdminStub(channel)


async def told(call: Any) -> MmarRunnerError | None:
    try:
        await _drained(call)
    except MmarRunnerError as error:
        return error
    return None


async def refused(call: Any) -> str:
    with pytest.raises(MmarRunnerError) as error:
        await (_drained(call) if hasattr(call, "__anext__") else call)
    assert str(error.value.message).isprintable(), error.value.message
    return str(error.value.reason)


async def _drained(call: Any) -> None:
    async for _ in call:
        pass


async def test_c05_a_line_of_a_hundred_megabytes_is_refused_and_not_read(
    project: TwoOrgs, server: RunningServer
) -> None:
    meter = Meter(server.process.pid, server.address())
    before = meter.memory()
    async with session_of(project, server) as alice, without_bounds(project, server) as stub:
        token = alice.admitted.token
        large = ExecuteRequest(token=token, order=b"x" * (100 * MB))
        began = time.perf_counter()
        with pytest.raises(MmarRunnerError):
            await _drained(stub.execute(large))
        assert time.perf_counter() - began < 20
        with pytest.raises(MmarRunnerError):
            await stub.login(LoginRequest(user="x" * (100 * MB)), timeout=20)
        fits = ExecuteRequest(token=token, order=b"x" * MB)
        assert await refused(stub.execute(fits)) == "FORMAT"
        assert meter.memory() - before < 64 * MB
        assert (await ordered(alice, "show_info")).status == "done"


async def test_c05_a_hundred_thousand_words_are_refused_cheaply(
    project: TwoOrgs, server: RunningServer
) -> None:
    async with session_of(project, server) as alice:
        data = alice.signed(["check_status", "server", *["x"] * 100_000])
        began = time.perf_counter()
        raw = ExecuteRequest(token=alice.admitted.token, order=data)
        assert await refused(alice.stub.execute(raw)) == "FORMAT"
        assert time.perf_counter() - began < 5
        assert (await ordered(alice, "show_info")).status == "done"


WORDS = {
    "a_command": [ESCAPES],
    "a_name": ["check_status", "client", ESCAPES],
    "an_mmar": ["deploy", ESCAPES, "server"],
    "a_number": ["set_run_number", ESCAPES],
    "a_user": ["eval_user", ESCAPES, "server"],
    "a_site": ["eval_rule", ESCAPES, "allow_byoc"],
    "a_right": ["eval_right", ALICE, ESCAPES],
    "a_file": ["cat", "server", ESCAPES],
}


@pytest.mark.parametrize("case", WORDS)
async def test_c05_what_would_write_to_a_terminal_is_told_and_logged_harmlessly(
    project: TwoOrgs, server: RunningServer, case: str
) -> None:
    async with session_of(project, server) as alice:
        data = alice.signed(WORDS[case])
        raw = ExecuteRequest(token=alice.admitted.token, order=data)
        error = await told(alice.stub.execute(raw))
        if error is not None:  # some words are only looked for, and not found
            assert error.message.isprintable(), error.message
            assert str(error.hint or "").isprintable()
            assert error.reason != "INTERNAL"
    # Its line is read as one: nothing of it is a line or a command of a terminal.
    for line in (server.workspace / "audit.jsonl").read_text().splitlines():
        assert line.isprintable()
        assert json.dumps(json.loads(line), ensure_ascii=False).isprintable()


async def test_c05_what_a_client_says_is_shown_harmlessly(
    project: TwoOrgs, server: RunningServer, tmp_path: Path
) -> None:
    """In its answer, in its refusal and in its version: as the console shows it."""

    def lying(stub: StandingStub, _: Any) -> Any:
        if stub.name == "site-1":
            return {"state": ESCAPES, "message": ESCAPES, ESCAPES: ESCAPES}
        return AdminReply(reason=ESCAPES, message=ESCAPES, hint=ESCAPES)

    target = by_name(server.address())
    async with AsyncExitStack() as stack:
        for site in ("site-1", "site-2"):
            stub = StandingStub(project.kits.client(site), target, answering=lying)
            await stack.enter_async_context(stub)
        console = await asyncio.to_thread(
            order_of, project, server, tmp_path, "check_status", "client"
        )
    assert console.process.returncode == 1, "an answer is missing"
    for line in (console.stdout + console.stderr).splitlines():
        assert line.isprintable(), line


def order_of(
    project: TwoOrgs, server: RunningServer, folder: Path, *words: str, options: Any = ()
) -> RunningProgram:
    """Order something by the command line, and wait for its end."""
    kit = str(project.kits.admin(ALICE))
    where = by_name(server.admin_address())
    arguments = [*options, "admin", "--kit", kit, "--server", where, "--yes", *words]
    program = RunningProgram(arguments, folder=folder, label=f"console-{time.monotonic_ns()}")
    program.wait()
    return program


def test_e10_no_secret_is_in_what_server_client_and_console_say_and_keep(
    project: TwoOrgs, tmp_path: Path
) -> None:
    """At their most talkative: keys, tokens and what opens a session are nowhere."""
    workspace, clients, consoles = tmp_path / "s" / "ws", tmp_path / "c", tmp_path / "a"
    secrets: set[bytes] = set()
    with Talkative(workspace, project.server_kit("talkative")) as server:
        kit, where = project.kits.client("site-1"), by_name(server.address())
        with RunningClient(None, where, "site-1", clients, kit=kit) as client:
            client.wait_for(Topic.STANDING)
            secrets |= asyncio.run(_played(project, server))
            for options in ((), ("-vv",)):
                done = order_of(project, server, consoles, "check_status", "all", options=options)
                assert done.process.returncode == 0, done.stderr
            session_key = (clients / "site-1" / "session.key").read_bytes()
            order_of(project, server, consoles, "shutdown", "client")
            assert client.wait() == 0, client.stderr
        server.terminate()
        server.wait()
    secrets |= ways_to_write(session_key)
    for owner in (ALICE, BOB, "site-1", "localhost"):
        for file in (project.kits.out / owner).glob("*.key"):
            body = b"".join(file.read_bytes().splitlines()[1:-1])
            secrets |= {body, body[:40]}
    assert len(server.stderr.splitlines()) + len(server.stdout.splitlines()) > 2, "it said nothing"
    assert found(secrets | {b"PRIVATE KEY"}, tmp_path) == []

    planted = tmp_path / "planted.log"
    for secret in secrets:
        planted.write_bytes(b"before " + secret + b" after")
        assert found({secret}, planted), "the control: what is there is found"


async def _played(project: TwoOrgs, server: RunningServer) -> set[bytes]:
    """Let sessions be opened and refused, and return what must not be told of them."""
    secrets = set()
    async with session_of(project, server) as alice, session_of(project, server, BOB) as bob:
        for session in (alice, bob):
            secrets.add(session.admitted.token.encode())
        stolen = ExecuteRequest(token=alice.admitted.token, order=bob.signed(["watch"]))
        assert await refused(bob.stub.execute(stolen)) == "TOKEN_NOT_BOUND"
        wrong = ExecuteRequest(token=f"{alice.admitted.token}x", order=b"{}")
        assert await refused(alice.stub.execute(wrong)) == "SESSION_OVER"
        await ordered(alice, "check_status all")
    return secrets


class Talkative(RunningServer):
    """A server that stands and says all that it can say."""

    def __init__(self, workspace: Path, kit: Path) -> None:
        self.workspace = workspace
        self._endpoint = workspace / "endpoint.json"
        arguments = ["-vv", "run-server", "--kit", str(kit), "--workspace", str(workspace)]
        arguments += ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]
        super(RunningServer, self).__init__(arguments, folder=workspace.parent, label="talkative")
