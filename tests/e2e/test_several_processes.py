# SPDX-License-Identifier: Apache-2.0
"""An administrator orders ``start_mgpu``, and a site's trainer works in two processes."""

from __future__ import annotations

import asyncio
import json
import os
import select
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest

from mmar_runner.cli.main import main
from mmar_runner.interfaces.observer import Topic
from mmar_runner.mmar.finding import Findings
from mmar_runner.mmar.folder import open_folder
from mmar_runner.mmar.manifest import list_files
from mmar_runner.testing.kits import make_kits
from mmar_runner.testing.offices import office, ordered
from mmar_runner.testing.processes import RunningClient, RunningServer

#: torch is imported by four processes, and again by those of the client that goes on.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

MMARS = Path(__file__).parents[2] / "mmars"
LEAD = "lead@example.org"
#: Seconds that something may take on a machine that does other things besides.
SOON = 120.0


def uploaded(name, kits, workspace, org):
    """Put a signed copy of a sample where uploads lie."""
    folder = workspace / "transfer"
    folder.mkdir(parents=True)
    mmar = Path(shutil.copytree(MMARS / name, folder / name))
    with pytest.raises(SystemExit, match="0"):
        main(["sign-mmar", str(mmar), "--kit", str(kits.admin(LEAD))])
    facts = {
        "name": name,
        "digest": list_files(open_folder(mmar, Findings())).digest,
        "owner": LEAD,
        "org": org,
        "uploaded": "2026-11-28T15:00:00Z",
        "bytes": 1000,
    }
    (folder / f"{name}.json").write_text(json.dumps(facts))


@contextmanager
def standing_client(kits, listen, folder):
    kit = kits.client("site-1")
    variables = {"NUM_SITES": 1, "SITE_INDEX": 1}
    with RunningClient(None, listen, "site-1", folder, kit=kit, variables=variables) as client:
        yield client


async def connected(lead):
    """Wait until the client waits for orders."""
    async with asyncio.timeout(SOON):
        while (await ordered(lead, "check_status client site-1")).missing:  # noqa: ASYNC110
            await asyncio.sleep(0.1)


def working_for(folder):
    """Return what works in the trainer's folder of a client: process id and command line."""
    found = {}
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and entry.joinpath("cwd").readlink() == folder:
                found[int(entry.name)] = entry.joinpath("cmdline").read_text()
        except OSError:
            continue
    return found


def wait_until_gone(pids):
    for pid in pids:
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        assert select.select([descriptor], [], [], SOON)[0], f"process {pid} is still there"
        os.close(descriptor)


def test_start_mgpu_trains_by_torchrun_and_goes_on_after_a_kill(tmp_path):
    kits = make_kits(tmp_path / "project", orgs={"server": "a.org"})
    clients, workspace = tmp_path / "clients", tmp_path / "ws"
    uploaded("breast_cancer", kits, workspace, "a.org")
    numbers = {"MIN_NUM_CLIENTS": 1, "NUM_ROUNDS": 30, "NUM_SITES": 1}

    async def scenario():
        async with (
            office(kits.server, workspace, variables=numbers) as standing,
            standing.session(kits.admin(LEAD)) as lead,
        ):
            with standing_client(kits, standing.listen, clients) as client:
                await connected(lead)
                for order in ("set_run_number 1", "deploy breast_cancer all", "start server"):
                    await ordered(lead, order)
                answered = await ordered(lead, "start_mgpu client 4096 site-1")
                assert answered.missing == {"site-1": "TOO_MANY_PROCESSES"}, answered.text
                answered = await ordered(lead, "start_mgpu client 2 site-1")
                assert "in 2 processes" in answered.text, answered.text
                await asyncio.to_thread(client.wait_for, Topic.TRAINED, round=0, timeout=SOON)
                trainer = next(clients.glob("**/run_1/trainer"))
                there = working_for(trainer)
                assert sum("rank_main" in words for words in there.values()) == 3  # and torchrun
                client.kill()
                await asyncio.to_thread(wait_until_gone, there)
                assert working_for(trainer) == {}
            with standing_client(kits, standing.listen, clients) as client:  # nobody orders it
                ended = await asyncio.to_thread(client.wait_for, Topic.RUN_ENDED, timeout=2 * SOON)
                assert ended["status"] == "finished"
                assert ended["tasks"]["failed"] == 0
            return trainer

    trainer = asyncio.run(scenario())
    log = next(trainer.parent.glob("logs/trainer.log")).read_text()
    assert "Traceback" not in log, log


def test_a_client_without_an_administrator_is_told_when_it_starts(tmp_path):
    numbers = {"MIN_NUM_CLIENTS": 1, "NUM_ROUNDS": 2, "MODEL_MB": 0.01, "SECONDS": 0}
    echo, clients = MMARS / "echo", tmp_path / "clients"
    with RunningServer(echo, tmp_path / "ws", variables=numbers) as server:
        at = server.address()
        many = ("--processes", "4096")
        with RunningClient(echo, at, "site-1", clients, *many, variables=numbers) as client:
            assert client.wait() == 2
            assert "TOO_MANY_PROCESSES" in client.stderr
        several = ("--processes", "2")
        with RunningClient(echo, at, "site-1", clients, *several, variables=numbers) as client:
            assert client.wait() == 0, client.stderr
        assert server.wait() == 0, server.stderr
    lines = next(clients.glob("**/logs/trainer.log")).read_text().splitlines()
    asked = [f"[rank {rank}] one of 2 is asked for round {n}" for rank in (0, 1) for n in (0, 1)]
    assert sorted(lines) == asked
