# SPDX-License-Identifier: Apache-2.0
"""A federation of four sites, one of which lets no code in: who runs, and who is told why."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mmar_runner.interfaces.observer import Topic
from mmar_runner.server.status.status_reading import read_status
from mmar_runner.testing.kits import Kits, make_kits
from mmar_runner.testing.processes import RunningProgram

ECHO = Path(__file__).parents[2] / "mmars" / "echo"
LEAD = "lead@uni.org"
SITES = ("site-1", "site-2", "site-3", "site-4")
STRICT = "site-4"
RIGHTS = dict.fromkeys(("upload_mmar", "deploy_all", "train_all", "view_all", "operate_all"), True)
AUTHORIZATION = {
    "version": "1.0",
    "roles": {"lead": "leads the project"},
    "groups": {
        "open": {"desc": "", "rules": {"allow_byoc": True}, "role_rights": {"lead": RIGHTS}},
        "closed": {"desc": "", "rules": {"allow_byoc": False}, "role_rights": {"lead": RIGHTS}},
    },
    "users": {LEAD: {"org": "uni", "roles": ["lead"]}},
    "orgs": {"uni": ["open"], "clinic": ["closed"]},
    "sites": {"server": "uni", **dict.fromkeys(SITES, "uni"), STRICT: "clinic"},
}


class Federation:
    """The kits, the signed MMAR with code, and the processes."""

    def __init__(self, folder: Path, provisioned: Kits) -> None:
        self.folder = folder
        self.kits = Kits(provisioned.project_file, folder / "kits")
        shutil.copytree(provisioned.out, self.kits.out)
        self.mmar = folder / "echo"
        shutil.copytree(ECHO, self.mmar, ignore=shutil.ignore_patterns("__pycache__"))
        (self.mmar / "custom").mkdir()
        (self.mmar / "custom" / "nets.py").write_text("ANSWER = 42\n")
        assert self.call("sign-mmar", self.mmar, "--kit", self.kits.admin(LEAD))[0] == 0
        for site in (*SITES, "localhost"):
            self.policy(site, byoc="allow")

    def policy(self, site: str, **rules: Any) -> Path:
        path = self.kits.client(site) / "site_policy.json"
        path.write_text(json.dumps({"version": 1, **rules}, indent=1))
        return path

    def call(self, *arguments: object) -> tuple[int, Any]:
        done = subprocess.run(
            [sys.executable, "-m", "mmar_runner", *map(str, arguments), "--json"],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=40,
            check=False,
        )
        return done.returncode, json.loads(done.stdout)

    def server(self, least: int) -> RunningProgram:
        settings = ["--set", "NUM_ROUNDS=2", "--set", "MODEL_MB=0.01"]
        settings += ["--set", f"MIN_NUM_CLIENTS={least}"]
        kit = ["--kit", str(self.kits.server), "--listen", "127.0.0.1:0"]
        arguments = ["run-server", str(self.mmar), *kit, *settings]
        arguments += ["--workspace", str(self.folder / "server")]
        return RunningProgram(arguments, folder=self.folder, label="server")

    def address(self, server: RunningProgram) -> str:
        endpoint = self.folder / "server" / "endpoint.json"
        server._until(endpoint.exists, "no endpoint.json", 40)
        return f"localhost:{json.loads(endpoint.read_text())['listen'].rpartition(':')[2]}"

    def client(self, site: str, address: str) -> RunningProgram:
        kit = ["--kit", str(self.kits.client(site)), "--server", address]
        workspace = ["--workspace", str(self.folder / "ws"), "--json"]
        return RunningProgram(["run-client", *kit, *workspace], folder=self.folder, label=site)

    def run(self, least: int) -> dict[str, tuple[int, str]]:
        """Run the federation; return exit code and output of every client."""
        with self.server(least) as server:
            address = self.address(server)
            clients = {site: self.client(site, address) for site in SITES}
            ended = {site: (one.wait(), one.stdout) for site, one in clients.items()}
            assert server.wait() == 0, server.stderr
        return ended

    def deployed(self) -> list[dict[str, Any]]:
        audit = self.folder / "server" / "audit.jsonl"
        lines = [json.loads(line) for line in audit.read_bytes().splitlines()]
        return [line for line in lines if line["action"] == "mmar.deploy"]

    def summary(self) -> dict[str, Any]:
        summary = self.folder / "server" / "run_1" / "summary.json"
        return dict(json.loads(summary.read_bytes()))


@pytest.fixture(scope="module")
def provisioned(tmp_path_factory: pytest.TempPathFactory) -> Kits:
    orgs = {"server": "uni", **dict.fromkeys(SITES, "uni"), STRICT: "clinic"}
    folder = tmp_path_factory.mktemp("project")
    return make_kits(folder, clients=SITES, admins=(LEAD,), orgs=orgs, authorization=AUTHORIZATION)


@pytest.fixture
def federation(tmp_path: Path, provisioned: Kits) -> Federation:
    return Federation(tmp_path, provisioned)


def refusal(steps: list[dict[str, Any]]) -> dict[str, Any]:
    (refused,) = [step for step in steps if not step["accepted"]]
    return refused


def waits(server: RunningProgram, text: str) -> str:
    """Return what the server says it waits for, once that holds a text."""

    def found() -> list[str]:
        said = [str(each["message"]) for each in server.observations(Topic.WAITING)]
        return [message for message in said if text in message]

    server._until(found, f"it never waits: {text}", 40)
    return found()[0]


def status_says(server: RunningProgram, workspace: Path, text: str) -> None:
    """Wait until what `status` shows to be waited for holds a text."""

    def found() -> bool:
        return text in read_status(workspace).run["waiting_for"]

    server._until(found, f"the status never says: {text}", 40)


def test_three_sites_run_and_the_fourth_says_why_not(federation: Federation) -> None:
    ended = federation.run(least=3)

    code, said = ended.pop(STRICT)
    assert code == 1
    assert '"reason": "BYOC_NOT_ALLOWED"' in said
    assert {code for code, _ in ended.values()} == {0}
    summary = federation.summary()
    assert summary["status"] == "finished"
    assert len(summary["rounds"]) == 2
    assert not list((federation.folder / "ws" / STRICT).rglob("nets.py"))
    (line,) = federation.deployed()
    assert (line["decision"], line["reason"]) == ("accepted", "")
    others = ", ".join(site for site in SITES if site != STRICT)
    assert line["data"]["sites"] == {"accepted": others, "BYOC_NOT_ALLOWED": STRICT}


def test_a_sites_own_policy_keeps_it_out_though_the_project_would_let_it_in(
    federation: Federation,
) -> None:
    federation.policy("site-2", byoc="refuse")
    ended = federation.run(least=2)

    assert {site: code for site, (code, _) in ended.items()} == {
        "site-1": 0,
        "site-2": 1,
        "site-3": 0,
        STRICT: 1,
    }
    assert '"reason": "BYOC_NOT_ALLOWED"' in ended["site-2"][1]


def test_a_server_says_who_declined_and_that_too_few_are_left_and_goes_on_when_they_return(
    federation: Federation,
) -> None:
    federation.policy("site-2", byoc="refuse")
    with federation.server(3) as server:
        address = federation.address(server)
        assert federation.client("site-2", address).wait() == 1
        waits(server, "declined by site-2 [BYOC_NOT_ALLOWED]")
        others = [federation.client(site, address) for site in ("site-1", "site-3")]
        said = waits(server, "2 of 3 clients are there; declined by site-2 [BYOC_NOT_ALLOWED]")
        assert "needs 3 clients, and only 2 of the 3 sites that may run it are left" in said
        status_says(server, federation.folder / "server", "declined by site-2 [BYOC_NOT_ALLOWED]")
        federation.policy("site-2", byoc="allow")
        others.append(federation.client("site-2", address))
        assert [each.wait() for each in others] == [0, 0, 0]
        assert server.wait() == 0


def test_rules_that_do_nothing_at_a_server_are_named(federation: Federation) -> None:
    federation.policy("localhost", byoc="allow", mandatory_filters={"outbound": ["Anything"]})
    with federation.server(4) as server:
        assert server.wait() == 1

    assert "mandatory_filters does nothing at a server" in server.stderr
    assert "trainer does nothing" not in server.stderr


def test_too_few_sites_are_refused_at_the_start_by_name(federation: Federation) -> None:
    with federation.server(4) as server:
        assert server.wait() == 1

    assert "3 of 4 sites may run this MMAR, and min_num_clients is 4" in server.stderr
    assert f"{STRICT} will not take part" in server.stderr
    assert not (federation.folder / "server" / "endpoint.json").exists()
    (line,) = federation.deployed()
    assert (line["decision"], line["reason"]) == ("refused", "TOO_FEW_SITES")
    assert line["data"]["sites"]["BYOC_NOT_ALLOWED"] == STRICT


def test_a_minimum_above_the_number_of_sites_is_no_rules_fault(federation: Federation) -> None:
    shutil.rmtree(federation.mmar / "custom")
    federation.call("sign-mmar", federation.mmar, "--kit", federation.kits.admin(LEAD))
    with federation.server(5) as server:
        assert server.wait() == 1

    assert "4 of 4 sites may run this MMAR, and min_num_clients is 5" in server.stderr
    assert "have further sites provisioned" in server.stderr
    assert "policy explain" not in server.stderr


def test_the_researcher_is_told_which_rule_and_what_would_change_it(
    federation: Federation,
) -> None:
    kit = federation.kits.admin(LEAD)
    explain = ("policy", "explain", federation.mmar, "--kit", kit)
    assert federation.call(*explain, "--site", "site-1")[0] == 0

    code, answer = federation.call(*explain, "--site", STRICT)

    refused = refusal(answer["steps"])
    assert (code, refused["rule"]) == (1, "authorization.byoc")
    assert refused["reason"] == "BYOC_NOT_ALLOWED"
    policy = Path(refused["policy"]["file"])
    line = policy.read_text().splitlines()[refused["policy"]["line"] - 1]
    assert policy == kit / "authorization.json"
    assert '"allow_byoc"' in line
    assert refused["policy"]["pointer"] == "/groups/closed/rules/allow_byoc"
    assert '"allow_byoc": true' in refused["hint"]


def test_the_researcher_is_told_of_a_sites_own_rule_if_the_site_shows_it(
    federation: Federation,
) -> None:
    policy = federation.policy("site-2", byoc="refuse")
    explain = ("policy", "explain", federation.mmar, "--kit", federation.kits.admin(LEAD))

    code, answer = federation.call(*explain, "--site", "site-2", "--policy", policy)

    refused = refusal(answer["steps"])
    assert (code, refused["rule"]) == (1, "site_policy.byoc")
    assert refused["policy"]["file"] == str(policy)
    assert '"byoc"' in policy.read_text().splitlines()[refused["policy"]["line"] - 1]
    assert refused["subject"]["file"] == "custom/nets.py"
