# SPDX-License-Identifier: Apache-2.0
"""Another framework, by commands: simulated, sent to clients with nothing but a kit, failing."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from mmar_runner.interfaces.observer import Topic
from mmar_runner.mmar.finding import Findings
from mmar_runner.mmar.folder import open_folder
from mmar_runner.mmar.manifest import list_files
from mmar_runner.testing.kits import Kits, make_kits
from mmar_runner.testing.processes import RunningClient, RunningServer
from tests.signed_mmars import sign, signer_of

SAMPLE = Path(__file__).parents[2] / "mmars" / "digits_entry_points"
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


def runner(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mmar_runner", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_three_sites_learn_without_a_framework_that_the_runner_knows(tmp_path: Path) -> None:
    before = sorted(SAMPLE.rglob("*"))
    done = runner(
        "simulate", SAMPLE, "--clients", 3, "--allow-byoc", "--workspace", tmp_path / "ws"
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "ws" / "run_1" / "summary.json").read_bytes())
    assert summary["status"] == "finished"
    measured = [entry["metrics"]["val_accuracy"] for entry in summary["rounds"]]
    assert measured[0] < 0.3  # of a model that has learned nothing
    assert measured[-1] > 0.85
    assert summary["best_round"] >= 4
    assert sorted(SAMPLE.rglob("*")) == before  # no command has written there


def test_a_simulation_without_leave_starts_no_command(tmp_path: Path) -> None:
    done = runner("simulate", SAMPLE, "--clients", 2, "--workspace", tmp_path / "ws")
    assert done.returncode == 1
    assert "error [BYOC_NOT_ALLOWED]" in done.stderr
    assert not (tmp_path / "ws" / "run_1").exists()


def test_a_server_without_leave_builds_no_model_and_begins_no_run(tmp_path: Path) -> None:
    where = ("--workspace", tmp_path / "ws", "--listen", "127.0.0.1:0")
    done = runner("run-server", SAMPLE, "--insecure", *where)
    assert done.returncode == 1
    said = "error [BYOC_NOT_ALLOWED]: EntryPointModel starts commands of the MMAR, which are code"
    assert said in done.stderr
    assert not (tmp_path / "ws" / "run_1").exists()


OLDER = """
python_env: python_env.yaml
entry_points:
  build: {command: python build.py}
  startup: {command: python startup.py}
  train: {command: python train.py}
  validate: {command: python validate.py}
  predict: {command: python predict.py}
"""


@pytest.mark.slow
def test_a_package_with_a_file_of_entry_points_runs_and_the_server_validates(
    tmp_path: Path,
) -> None:
    """As older packages are: scripts at the top, and all commands in one file."""
    mmar = shutil.copytree(SAMPLE, tmp_path / "older", ignore=lambda *_: {"__pycache__"})
    for script in (mmar / "custom").iterdir():
        script.rename(mmar / script.name)
    (mmar / "custom").rmdir()
    (mmar / "fedn.yaml").write_text(OLDER)
    (mmar / "startup.py").write_text("import os; open(os.environ['TMPDIR'] + '/begun', 'x')\n")
    site = {"SITE_INDEX": "{SITE_INDEX}", "NUM_SITES": "{NUM_SITES}"}
    site |= {"DATA_SEED": "{DATA_SEED}", "LOCAL_EPOCHS": "{LOCAL_EPOCHS}"}
    args = {"entry_points_file": "fedn.yaml", "environment": site}
    pooled = {**args, "environment": {**site, "SITE_INDEX": 1, "NUM_SITES": 1}}
    client, server = (mmar / "config" / f"config_fed_{side}.json" for side in ("client", "server"))
    told = json.loads(client.read_text())
    told["client_trainer"]["args"] = args
    client.write_text(json.dumps(told))
    told = json.loads(server.read_text())
    told["model_persistor"]["args"] = {"entry_points_file": "fedn.yaml"}
    told["model_validator"] = {"name": "EntryPointValidator", "args": pooled}
    told["validate_every"] = 1
    server.write_text(json.dumps(told))

    done = runner(
        *("simulate", mmar, "--clients", 2, "--rounds", 2, "--allow-byoc"),
        *("--set", "LOCAL_EPOCHS=12", "--workspace", tmp_path / "ws"),
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "ws" / "run_1" / "summary.json").read_bytes())
    assert summary["status"] == "finished"
    # Of the model that the round made, which only the server can have measured.
    assert summary["rounds"][0]["metrics"]["val_accuracy"] > 0.7
    findings = json.loads(runner("validate-mmar", mmar, "--json").stdout)["findings"]
    codes = {finding["code"] for finding in findings}
    assert codes == {"MMAR211", "MMAR622", "MMAR670", "MMAR673"}


@pytest.fixture
def kits(tmp_path: Path) -> Kits:
    orgs = dict.fromkeys(("server", *SITES), "uni")
    return make_kits(
        tmp_path / "p", clients=SITES, admins=(LEAD,), orgs=orgs, authorization=AUTHORIZATION
    )


@pytest.fixture
def mmar(tmp_path: Path, kits: Kits) -> Path:
    folder = shutil.copytree(SAMPLE, tmp_path / "digits", ignore=lambda *_: {"__pycache__"})
    return sign(folder, signer_of(kits.admin(LEAD)))


def says(kit: Path, **rules: Any) -> None:
    (kit / "site_policy.json").write_text(json.dumps({"version": 1, **rules}))


@pytest.fixture
def serving(kits: Kits, mmar: Path, tmp_path: Path) -> Iterator[RunningServer]:
    says(kits.server, byoc="allow")
    variables = {"NUM_ROUNDS": 3, "MIN_NUM_CLIENTS": 2}
    with RunningServer(
        mmar, tmp_path / "ws", "--durability", "process", kit=kits.server, variables=variables
    ) as server:
        yield server


def joining(stack: ExitStack, server: str, site: str, kits: Kits, folder: Path) -> RunningClient:
    target = f"localhost:{server.rpartition(':')[2]}"
    return stack.enter_context(
        RunningClient(
            None, target, site, folder / "c", kit=kits.client(site), variables={"NUM_SITES": 2}
        )
    )


def test_clients_with_nothing_but_their_kits_run_the_commands_that_they_are_sent(
    kits: Kits, mmar: Path, serving: RunningServer, tmp_path: Path
) -> None:
    digest = list_files(open_folder(mmar, Findings())).digest
    for site in SITES:
        says(kits.client(site), byoc="digest", accepted_digests=[digest])
    with ExitStack() as stack:
        clients = [joining(stack, serving.address(), site, kits, tmp_path) for site in SITES]
        assert [client.wait() for client in clients] == [0, 0], clients[0].stderr
        assert serving.wait() == 0, serving.stderr
    [received] = clients[0].observations(Topic.PACKAGE_RECEIVED)
    assert received["mmar"] == "digits"
    [copy] = (clients[0].workspace / "store").glob("*/digits")
    names = sorted(p.relative_to(copy).as_posix() for p in copy.rglob("*") if p.is_file())
    assert names == sorted(p.relative_to(mmar).as_posix() for p in mmar.rglob("*") if p.is_file())
    summary = serving.summary()
    assert summary["status"] == "finished"
    assert [len(entry["contributions"]) for entry in summary["rounds"]] == [2, 2, 2]
    assert summary["rounds"][-1]["metrics"]["val_accuracy"] > 0.5


def test_a_site_that_lets_no_code_in_declines_what_it_is_sent(
    kits: Kits, serving: RunningServer, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        client = joining(stack, serving.address(), "site-1", kits, tmp_path)
        assert client.wait() == 1
        declined = serving.wait_for(Topic.SITE_DECLINED)
    assert (declined["client"], declined["reason"]) == ("site-1", "BYOC_NOT_ALLOWED")
    assert list((client.workspace / "store").glob("[!.]*")) == []


def test_a_command_that_fails_is_told_and_the_next_attempt_counts(tmp_path: Path) -> None:
    mmar = shutil.copytree(SAMPLE, tmp_path / "digits", ignore=lambda *_: {"__pycache__"})
    train = mmar / "custom" / "train.py"
    counts = tmp_path / "attempts"
    train.write_text(
        f"with open({str(counts)!r}, 'a+') as file:\n"
        "    file.write('x')\n"
        "    file.seek(0)\n"
        "    if len(file.read()) == 1:\n"
        "        raise SystemExit('the disk of images is not mounted')\n" + train.read_text()
    )
    variables = {"NUM_ROUNDS": 1, "MIN_NUM_CLIENTS": 1}
    with ExitStack() as stack:
        server = stack.enter_context(
            RunningServer(mmar, tmp_path / "ws", "--insecure", "--allow-byoc", variables=variables)
        )
        client = stack.enter_context(
            RunningClient(
                mmar,
                server.address(),
                "site-1",
                tmp_path / "c",
                *("--insecure", "--allow-byoc"),
                variables=variables,
            )
        )
        assert client.wait() == 0, client.stderr
        assert server.wait() == 0, server.stderr
    assert counts.read_text() == "xx"
    said = "the entry point train ended with exit code 1: the disk of images is not mounted"
    [failed] = client.observations(Topic.TASK_FAILED)
    assert (failed["reason"], failed["message"]) == ("TASK_FAILED", said)
    [heard] = server.observations(Topic.TASK_FAILED)
    assert heard["log"][0] == "the disk of images is not mounted"
    assert server.summary()["status"] == "finished"
