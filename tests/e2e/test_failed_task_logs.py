# SPDX-License-Identifier: Apache-2.0
"""The lines that a failed task logged: they come with the failure, as far as the site lets them.

The trainer prints and raises secrets. They are looked for in every byte that the server wrote.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mmar_runner.documents.schema_check import faults
from mmar_runner.documents.schema_store import load_schema
from mmar_runner.interfaces.observer import Topic
from mmar_runner.security.redaction import LOG_LINES
from mmar_runner.testing.builders import MmarBuilder
from mmar_runner.testing.kits import Kits, make_kits
from mmar_runner.testing.processes import RunningClient, RunningServer
from tests.signed_mmars import sign, signer_of

LEAD = "lead@example.org"
RIGHTS = dict.fromkeys(("upload_mmar", "deploy_all", "train_all", "view_all"), True)
AUTHORIZATION = {
    "version": "1.0",
    "roles": {"lead": "leads"},
    "groups": {
        "open": {"desc": "", "rules": {"allow_byoc": True}, "role_rights": {"lead": RIGHTS}}
    },
    "users": {LEAD: {"org": "uni", "roles": ["lead"]}},
    "orgs": {"uni": ["open"]},
    "sites": {"server": "uni", "site-1": "uni"},
}
CODE = '''
import shutil
import sys

from mmar_runner.interfaces.client_trainer import ClientTrainer, TrainResult


class Talkative(ClientTrainer):
    """Fails once, and says too much."""

    def setup(self, context):
        print("set up long before")
        self._failed = context.workspace / "failed"

    def train(self, task):
        if not self._failed.exists():
            self._failed.touch()
            for number in range(60):
                print("weighed", number, "things")
            who = "Hans" + " Mueller"
            print(f"patient {4711} is '{who}' of hans{'@'}clinic.example, see {'/data'}/hm")
            print("\\x1b[31mred", file=sys.stderr)
            raise LookupError(f"no scan of {who!r} {4711}")
        shutil.copy(task.model, task.update)
        return TrainResult(1)
'''
LINE = next(n for n, line in enumerate(CODE.splitlines(), 1) if "raise LookupError" in line)
FRAME = f'  File "custom/talkative.py", line {LINE}, in train'
#: What the trainer says and raises, in words that its code, which the server has, does not hold.
SECRETS = ("patient 4711", "Hans Mueller", "hans@clinic", "/data/hm")
SAID = (*SECRETS, "weighed 59", "LookupError: ")


@pytest.fixture
def mmar(tmp_path: Path) -> Path:
    builder = MmarBuilder().variables(MIN_NUM_CLIENTS=1, NUM_ROUNDS=1).trainer("EchoTrainer")
    root = builder.file("custom/talkative.py", CODE).write(tmp_path)
    path = root / "config" / "config_fed_client.json"
    value = json.loads(path.read_text())
    value["client_trainer"] = {"path": "talkative.Talkative"}
    path.write_text(json.dumps(value, indent=1))
    return root


def run(mmar: Path, folder: Path, kits: Kits | None = None) -> RunningServer:
    """Run the MMAR with one client whose first attempt fails."""
    own = ("--allow-byoc",) if kits is None else ()
    kit = None if kits is None else kits.client("site-1")
    with RunningServer(mmar, folder / "ws", kit=None if kits is None else kits.server) as server:
        address = server.address().replace("127.0.0.1", "localhost")
        with RunningClient(mmar, address, "site-1", folder / "clients", *own, kit=kit) as client:
            codes = (server.wait(), client.wait())
            assert codes == (0, 0), server.stderr + client.stderr + client.stdout
    return server


def with_kits(mmar: Path, folder: Path, **policy: Any) -> RunningServer:
    orgs = {"server": "uni", "site-1": "uni"}
    kits = make_kits(folder / "p", admins=(LEAD,), orgs=orgs, authorization=AUTHORIZATION)
    for kit, keys in ((kits.server, {}), (kits.client("site-1"), policy)):
        value = {"version": 1, "byoc": "allow", **keys}
        (kit / "site_policy.json").write_text(json.dumps(value))
    return run(sign(mmar, signer_of(kits.admin(LEAD))), folder, kits)


def failure(server: RunningServer) -> dict[str, Any]:
    """Return the failure as it was observed, which is as it is on record everywhere."""
    (told,) = server.observations(Topic.TASK_FAILED, client="site-1", round=0)
    folder = server.workspace / "run_1"
    events = map(json.loads, (folder / "events.jsonl").read_text().splitlines())
    (recorded,) = [event["data"] for event in events if event["kind"] == "task_failed"]
    assert {**recorded, "again": ""} == told
    summary = server.summary()
    assert not faults(load_schema("summary"), summary)
    (rejected,) = summary["rounds"][0]["rejected"]
    assert rejected.get("log") == told.get("log")
    assert rejected["reason"] == f"{told['reason']}: {told['message']}"
    return dict(told)


def written(server: RunningServer) -> str:
    """Return all that the server wrote."""
    files = [path for path in server.workspace.rglob("*") if path.is_file()]
    kept = b"".join(path.read_bytes() for path in files)
    return kept.decode(errors="replace") + server.stdout + server.stderr


def test_without_a_kit_the_last_lines_come_as_they_are(mmar: Path, tmp_path: Path) -> None:
    server = run(mmar, tmp_path)
    told = failure(server)
    assert told["message"].endswith("raised LookupError: no scan of 'Hans Mueller' 4711")
    assert len(told["log"]) == LOG_LINES
    assert told["log"][-1] == "LookupError: no scan of 'Hans Mueller' 4711"
    assert "weighed 59 things" in told["log"]
    assert [said for said in SAID if said not in written(server)] == []  # the others can fail
    assert " [31mred" in told["log"]
    assert "set up long before" not in told["log"]


def test_with_a_kit_nothing_that_a_component_said_leaves(mmar: Path, tmp_path: Path) -> None:
    server = with_kits(mmar, tmp_path)
    told = failure(server)
    assert told["message"] == "a component of the task failed; what it said stays at the site"
    assert told["reason"] == "TASK_FAILED"
    assert "log" not in told
    all_of_it = written(server)
    assert not [secret for secret in SAID if secret in all_of_it]


def test_a_site_may_let_words_leave_without_values(mmar: Path, tmp_path: Path) -> None:
    server = with_kits(mmar, tmp_path, redaction="values")
    told = failure(server)
    assert told["message"].endswith("raised LookupError: no scan of <...> <...>")
    assert "custom" not in told["message"]
    assert "weighed <...> things" in told["log"]
    assert FRAME in told["log"]
    assert told["log"][-1] == "LookupError: no scan of <...> <...>"
    assert not [secret for secret in SECRETS if secret in written(server)]


def test_a_site_may_hide_nothing(mmar: Path, tmp_path: Path) -> None:
    told = failure(with_kits(mmar, tmp_path, redaction="nothing"))
    assert told["log"][-1] == "LookupError: no scan of 'Hans Mueller' 4711"
