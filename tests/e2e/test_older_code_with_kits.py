# SPDX-License-Identifier: Apache-2.0
"""Older code in processes of the command line: who lets it run at the server, and who does not."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from mmar_runner.testing.kits import make_kits
from mmar_runner.testing.processes import RunningClient, RunningServer
from tests.signed_mmars import sign, signer_of

SAMPLE = Path(__file__).resolve().parents[1] / "assets" / "mmars" / "clara_code"
LEAD = "lead@example.org"
SITES = ("site-1", "site-2")
RIGHTS = dict.fromkeys(("upload_mmar", "deploy_all", "train_all", "view_all"), True)
AUTHORIZATION = {
    "version": "1.0",
    "roles": {"lead": "leads"},
    "groups": {
        "open": {"desc": "", "rules": {"allow_byoc": True}, "role_rights": {"lead": RIGHTS}}
    },
    "users": {LEAD: {"org": "uni", "roles": ["lead"]}},
    "orgs": {"uni": ["open"]},
    "sites": {"server": "uni", **dict.fromkeys(SITES, "uni")},
}


@pytest.fixture
def kits(tmp_path):
    orgs = dict.fromkeys(("server", *SITES), "uni")
    return make_kits(
        tmp_path / "p", clients=SITES, admins=(LEAD,), orgs=orgs, authorization=AUTHORIZATION
    )


@pytest.fixture
def mmar(tmp_path, kits):
    return sign(shutil.copytree(SAMPLE, tmp_path / "mmar"), signer_of(kits.admin(LEAD)))


def says(kit, byoc):
    (kit / "site_policy.json").write_text(json.dumps({"version": 1, "byoc": byoc}))


def run_server(*words):
    return subprocess.run(
        [sys.executable, "-m", "mmar_runner", "run-server", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_with_kits_the_rules_let_it_run(kits, mmar, tmp_path):
    for kit in (kits.server, *map(kits.client, SITES)):
        says(kit, "allow")
    variables = {"NUM_ROUNDS": 1}
    with ExitStack() as stack:
        server = stack.enter_context(
            RunningServer(mmar, tmp_path / "ws", kit=kits.server, variables=variables)
        )
        address = server.address().replace("127.0.0.1", "localhost")
        clients = [
            stack.enter_context(
                RunningClient(mmar, address, name, tmp_path / name, kit=kits.client(name))
            )
            for name in SITES
        ]
        assert server.wait() == 0, server.stderr
        assert [client.wait() for client in clients] == [0, 0]
    (entry,) = server.summary()["rounds"]
    assert [c["client"] for c in entry["contributions"]] == list(SITES)


def test_a_server_whose_policy_refuses_code_begins_no_run(kits, mmar, tmp_path):
    says(kits.server, "refuse")
    done = run_server(mmar, "--workspace", tmp_path / "ws", "--kit", kits.server)
    assert done.returncode == 1
    assert "BYOC_NOT_ALLOWED" in done.stderr
    assert not (tmp_path / "ws" / "run_1").exists()


def test_on_loopback_nothing_runs_without_a_word(tmp_path):
    done = run_server(
        SAMPLE, "--workspace", tmp_path / "ws", "--insecure", "--listen", "127.0.0.1:0"
    )
    assert done.returncode == 1
    assert "BYOC_NOT_ALLOWED" in done.stderr
    assert "--allow-byoc lets it run, in a child process of the server" in done.stderr
    assert not (tmp_path / "ws" / "run_1").exists()


def test_a_kit_is_not_told_what_its_rules_decide(tmp_path):
    done = run_server(SAMPLE, "--kit", tmp_path, "--allow-byoc")
    assert done.returncode == 2
    assert "--allow-byoc is for --insecure; with a kit the rules decide" in done.stderr
