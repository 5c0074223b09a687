# SPDX-License-Identifier: Apache-2.0
"""What commands write with ``--json`` is what the schema of that name says, keys and all."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from mmar_runner.cli.main import main
from mmar_runner.documents.schema_store import load_schema
from mmar_runner.testing.kits import make_kits

ROOT = Path(__file__).resolve().parents[2]
ADA = "ada@uni.org"
BROKEN_PLUGIN = "raise RuntimeError('not today')\n"
WORDLESS_PLUGIN = """
from mmar_runner.hooks import hookimpl
from mmar_runner.interfaces.handler import Handler


class Bell(Handler):
    def __init__(self, tone=1):
        self.tone = tone

    def handle(self, event):
        pass


@hookimpl
def mmar_register_components(registry):
    arguments = {"type": "object", "properties": {"tone": {"type": "integer"}}}
    registry.add(kind="handler", name="Bell", target="wordless:Bell", args_schema=arguments)
"""


@pytest.fixture
def kits(tmp_path):
    return make_kits(tmp_path / "kits", clients=("site-1",), admins=(ADA,))


@pytest.fixture
def mmar(tmp_path):
    return Path(shutil.copytree(ROOT / "mmars" / "echo", tmp_path / "echo"))


@pytest.fixture
def broken(mmar):
    path = mmar / "config" / "config_fed_server.json"
    path.write_text(path.read_text().replace('"aggregator"', '"agregator"'))
    return mmar


@pytest.fixture
def written(capsys):
    """Return what a command writes, once it fits a schema."""

    def run(schema, *words):
        with pytest.raises(SystemExit):
            main([*map(str, words), "--json"])
        answer = json.loads(capsys.readouterr().out)
        Draft202012Validator(load_schema(schema)).validate(answer)
        return answer

    return run


def test_plugins(written, tmp_path):
    (tmp_path / "bad.py").write_text(BROKEN_PLUGIN)
    there = ("--plugins-dir", tmp_path)
    assert written("plugins_list", "plugins", "list", *there)["broken"]
    assert written("plugins_show", "plugins", "show", "FedAvg")["components"]
    assert written("plugins_kind", "plugins", "kind", "handler")["suite"] == "HandlerContract"
    assert written("plugins_doctor", "plugins", "doctor", *there)["problems"]
    (tmp_path / "wordless.py").write_text(WORDLESS_PLUGIN)
    assert written("plugins_doctor", "plugins", "doctor", *there)["warnings"]


def test_what_an_upgrade_changed(written, tmp_path):
    older = ROOT / "tests" / "assets" / "mmars" / "older"
    answer = written("upgrade_report", "upgrade-mmar", older, "--out", tmp_path / "new")
    assert answer["changes"]
    assert answer["remaining"]
    assert written("plugins_compatibility", "plugins", "compatibility")["names"]


def test_provision(written, kits, tmp_path):
    call = (kits.project_file, "--out", kits.out)
    shutil.move(kits.out / "site-1", tmp_path / "taken")
    assert written("provision_report", "provision", *call)["outcomes"]
    (renewed,) = (
        o
        for o in written("provision_report", "provision", "renew", *call)["outcomes"]
        if o["name"] == "site-1"
    )
    assert renewed["change"] == "renewed"
    assert written("provision_report", "provision", "revoke", *call, "--digest", "0" * 64)
    own = ("--project", "heart", "--role", "client", "--name", "site-2", "--out", tmp_path / "own")
    assert written("provision_request", "provision", "request", *own)["keys_sha256"]


def test_signing_and_verifying(written, kits, mmar):
    (mmar / "custom").mkdir()
    (mmar / "custom" / "net.py").write_text("class Net: ...\n")
    signed = written("sign_report", "sign-mmar", mmar, "--kit", kits.out / ADA)
    assert signed["refused"]
    verify = ("verify-mmar", mmar, "--kit", kits.client("site-1"))
    assert not written("verify_report", *verify)["accepted"]


def test_what_is_wrong_with_what_was_signed(written, kits, broken):
    assert not written("sign_report", "sign-mmar", broken, "--kit", kits.out / ADA)["valid"]
    verify = ("verify-mmar", broken, "--kit", kits.server)
    assert written("verify_report", *verify)["errors"]


def test_status(written, mmar, tmp_path):
    workspace = tmp_path / "workspace"
    run = ("simulate", mmar, "--clients", 2, "--rounds", 1, "--workspace", workspace)
    assert written("summary", *run)["status"] == "finished"
    status = written("status_report", "status", workspace)
    Draft202012Validator(load_schema("run_status")).validate(status["run"])
    endpoint = {"listen": "127.0.0.1:1", "admin": None, "pid": os.getpid()}
    (workspace / "endpoint.json").write_text(json.dumps(endpoint))
    written("status_report", "status", workspace)


def test_errors(written, kits, broken):
    assert written("error", "run-server")["error"]["reason"] == "USAGE"
    assert written("error", "run-client", broken, "--kit", kits.client("site-1"))["error"]["steps"]


@pytest.mark.parametrize(
    "words",
    [("simulate", "--clients", 2), ("run-server", "--insecure")],
    ids=["simulate", "run-server"],
)
def test_findings_of_an_mmar_that_is_not_run_are_json(written, broken, words):
    """Only their number was; they themselves stood as text on standard error."""
    error = written("error", words[0], broken, *words[1:])["error"]
    report = written("validate_report", "validate-mmar", broken)
    assert error["reason"] == "MMAR_INVALID"
    errors = [finding for finding in report["findings"] if finding["severity"] == "error"]
    assert [one for one in error["findings"] if one["code"] != "MMAR301"] == errors
