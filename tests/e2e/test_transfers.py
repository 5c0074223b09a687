# SPDX-License-Identifier: Apache-2.0
"""Folders to the server and files from it, over real connections that break off."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from mmar_runner.console.transfers import download, upload
from mmar_runner.security.audit.reading import read_audit
from mmar_runner.testing.kits import Kits
from mmar_runner.waiting.races import end
from tests.offices import ANN, LEAD, Office, office_kits, signed_echo

MIB = 1 << 20


@pytest.fixture(scope="module")
def kits(tmp_path_factory: pytest.TempPathFactory) -> Kits:
    return office_kits(tmp_path_factory.mktemp("office"))


def large(folder: Path, kits: Kits, name: str = "large") -> Path:
    """Return an MMAR of 24 MiB."""
    mmar = signed_echo(folder, kits, name)
    (mmar / "models").mkdir(exist_ok=True)
    (mmar / "models" / "start.safetensors").write_bytes(os.urandom(24 * MIB))
    command = ["sign-mmar", str(mmar), "--kit", str(kits.admin(LEAD))]
    subprocess.run([sys.executable, "-m", "mmar_runner", *command], check=True, capture_output=True)
    return mmar


@asynccontextmanager
async def narrow(
    address: str, limit: int, *, cut: bool = True
) -> AsyncIterator[tuple[str, asyncio.Event]]:
    """Pass bytes on to a server and back, and of each connection only so many in all.

    Args:
        address: The server's.
        limit: How many bytes.
        cut: Whether the connection is cut then; else nothing passes any more.

    Yields:
        Where to call instead, and what is set once a connection was used up.
    """
    host, _, port = address.rpartition(":")
    full, tasks = asyncio.Event(), set[asyncio.Task[None]]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        left = [limit]

        async def pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            try:
                while left[0] > 0 and (data := await source.read(1 << 16)):
                    left[0] -= len(data)
                    target.write(data)
                    await target.drain()
                if left[0] <= 0:
                    full.set()
                    await (asyncio.sleep(0) if cut else asyncio.Event().wait())
            except OSError:
                return
            finally:
                for one in (writer, far_writer):
                    one.transport.abort()

        both = pass_on(reader, far_writer), pass_on(far_reader, writer)
        tasks.update(map(asyncio.create_task, both))

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"localhost:{server.sockets[0].getsockname()[1]}", full
    await end(*tasks)
    await asyncio.sleep(0.05)  # transports close a moment later


async def test_an_upload_that_breaks_off_goes_on_where_it_was(kits: Kits, tmp_path: Path) -> None:
    mmar = large(tmp_path, kits)
    with Office(kits, tmp_path) as office:
        moved: list[int] = []
        # The same call of the console makes further attempts by itself.
        async with (
            narrow(office.admin_address, 10 * MIB) as (detour, full),
            office.session(target=detour) as session,
        ):
            facts = await upload(session, mmar, moved=lambda done, _: moved.append(done))
        assert full.is_set()
        assert moved == sorted(moved)
        assert moved[-1] == facts["bytes"] > 24 * MIB
        assert facts["owner"] == LEAD
        left = [path.name for path in (office.workspace / "transfer" / ".incoming").iterdir()]
        assert left == []
        assert office.order("list_mmars")["value"]["mmars"] == [facts]


async def test_a_console_that_is_killed_goes_on_where_it_was(kits: Kits, tmp_path: Path) -> None:
    mmar = large(tmp_path, kits, "killed")
    with Office(kits, tmp_path) as office:
        incoming = office.workspace / "transfer" / ".incoming"
        async with narrow(office.admin_address, 10 * MIB, cut=False) as (detour, full):
            command = ["-m", "mmar_runner", "admin", "--kit", str(kits.admin(LEAD))]
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *command,
                "--server",
                detour,
                "upload",
                str(mmar),
                env={**os.environ, "TMPDIR": str(tmp_path)},  # whoever is killed clears nothing
            )
            async with asyncio.timeout(30):
                await full.wait()
            process.kill()
            await process.wait()
        office.kill()
        [part] = incoming.glob("*.part")
        kept = part.stat().st_size
        assert 0 < kept < 24 * MIB
    with Office(kits, tmp_path) as office:  # the server was killed too
        first: list[int] = []
        async with office.session() as session:
            facts = await upload(session, mmar, moved=lambda done, _: first.append(done))
        assert first[0] == kept
        assert facts["name"] == "killed"


def test_two_organisations_do_not_see_each_other(kits: Kits, tmp_path: Path) -> None:
    mine, theirs = signed_echo(tmp_path, kits), signed_echo(tmp_path / "b", kits, user=ANN)
    with Office(kits, tmp_path) as office:
        office.order("upload", str(mine))
        assert office.order("list_mmars", user=ANN)["value"]["mmars"] == []
        refused = office.order("upload", str(theirs), user=ANN, code=1)
        assert refused["error"]["reason"] == "MMAR_NAME_TAKEN"
        assert "a.org" not in json.dumps(refused)
        other = theirs.rename(theirs.with_name("own"))
        command = ["sign-mmar", str(other), "--kit", str(kits.admin(ANN))]
        subprocess.run([sys.executable, "-m", "mmar_runner", *command], check=True)
        office.order("upload", str(other), user=ANN)
        seen = office.order("list_mmars", user=ANN)["value"]["mmars"]
        assert [one["name"] for one in seen] == ["own"]
        everything = office.order("list_mmars")["value"]["mmars"]
        assert [one["name"] for one in everything] == ["echo", "own"]
        for words in (("enqueue", "echo", "client"), ("enqueue", "none", "client")):
            assert office.order(*words, user=ANN, code=1)["error"]["reason"] == "UNKNOWN"
        office.order("set_run_number", "1")
        for path in ("run_1/summary.json", "run_9/summary.json"):
            refused = office.order("download", path, user=ANN, code=1)
            assert refused["error"]["reason"] == "UNKNOWN"


def test_what_is_wrong_with_an_mmar_comes_back(kits: Kits, tmp_path: Path) -> None:
    mmar = signed_echo(tmp_path, kits)
    path = mmar / "config" / "config_fed_server.json"
    path.write_text(path.read_text().replace('"num_rounds"', '"numm_rounds"'))
    command = ["sign-mmar", str(mmar), "--kit", str(kits.admin(LEAD))]
    subprocess.run([sys.executable, "-m", "mmar_runner", *command], check=False)
    with Office(kits, tmp_path) as office:
        error = office.order("upload", str(mmar), code=1)["error"]
        assert error["reason"] == "MMAR_INVALID", error
        assert {one["file"] for one in error["findings"]} == {"config/config_fed_server.json"}
        assert all(one["line"] for one in error["findings"])
        transfer = office.workspace / "transfer"
        assert [one for one in transfer.rglob("*") if one.is_file() and one.name != ".lock"] == []
        lines = read_audit(office.workspace / "audit.jsonl")
        assert [line["decision"] for line in lines if line["action"] == "mmar.upload"] == [
            "refused"
        ]


async def test_a_download_that_breaks_off_goes_on_where_it_was(kits: Kits, tmp_path: Path) -> None:
    with Office(kits, tmp_path) as office:
        office.order("set_run_number", "1")
        data = os.urandom(24 * MIB)
        (office.workspace / "run_1" / "models").mkdir()
        (office.workspace / "run_1" / "models" / "final").write_bytes(data)
        async with (
            narrow(office.admin_address, 10 * MIB) as (detour, full),
            office.session(target=detour) as session,
        ):
            facts = await download(session, "run_1/models/final", tmp_path / "out")
        assert full.is_set()
        assert facts["file"] == str(tmp_path / "out" / "final")
        assert (tmp_path / "out" / "final").read_bytes() == data
        assert [one.name for one in (tmp_path / "out").iterdir()] == ["final"]
        zipped = office.order("download", "run_1/models", "--out", str(tmp_path / "out"))
        assert zipped["value"]["file"].endswith("models.zip")
