# SPDX-License-Identifier: Apache-2.0
"""``validate-mmar`` as people call it, with the plugins that are installed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from mmar_runner.cli.commands import schema, validate_mmar
from mmar_runner.documents.schema_store import load_schema
from mmar_runner.hooks import load_plugins
from mmar_runner.mmar.validation import validate

ROOT = Path(__file__).parents[2]
SAMPLES = sorted(path for path in (ROOT / "mmars").iterdir() if (path / "config").is_dir())
HEAVY = ("numpy", "torch", "rich", "grpc", "sklearn", "jsonschema", "google.protobuf")


def run(*arguments, environment=None):
    return subprocess.run(
        [sys.executable, "-m", "mmar_runner", "validate-mmar", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **(environment or {})},
        check=False,
    )


@pytest.fixture
def broken(tmp_path):
    """A copy of a sample with one misspelt component and one warning."""
    folder = tmp_path / "broken"
    shutil.copytree(ROOT / "mmars" / "echo", folder)
    path = folder / "config" / "config_fed_server.json"
    value = json.loads(path.read_text())
    value["aggregator"] = {"name": "FedAgv"}
    value["no_such_key"] = 1
    path.write_text(json.dumps(value, indent=2))
    return folder


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.name)
def test_every_sample_is_valid_without_a_finding(sample):
    done = run(sample, "--format", "json")

    report = json.loads(done.stdout)
    brings_code = {"MMAR614", "MMAR670"} if (sample / "custom").exists() else set()
    assert {finding["code"] for finding in report["findings"]} == brings_code
    assert (done.returncode, report["valid"], report["deployable"]) == (0, True, True)
    assert report["generation"] == "clara-4"


def test_findings_errors_and_warnings_decide_the_exit_code(broken, tmp_path):
    assert run(broken).returncode == 1
    path = broken / "config" / "config_fed_server.json"
    path.write_text(path.read_text().replace("FedAgv", "FedAvg"))
    assert run(broken).returncode == 0
    assert run(broken, "--strict").returncode == 1
    assert run(tmp_path / "nowhere").returncode == 2
    assert run().returncode == 2
    assert run(broken, "--format", "xml").returncode == 2
    assert run(broken, "--set", "novalue").returncode == 2
    assert run(broken, "--policy", tmp_path / "none.json").returncode == 2


def test_several_folders_give_a_list_and_the_worst_exit_code(broken, tmp_path):
    done = run(broken, ROOT / "mmars" / "echo", tmp_path / "nowhere", "--json")

    reports = json.loads(done.stdout)
    Draft202012Validator(load_schema("validate_report")).validate(reports)
    assert done.returncode == 2
    assert [report["valid"] for report in reports] == [False, True, False]
    assert [f["code"] for f in reports[2]["findings"]] == ["MMAR101"]


def test_the_text_names_place_cause_and_mend(broken):
    done = run(broken)

    assert "config/config_fed_server.json" in done.stdout
    assert (
        "error    MMAR501  No installed plugin offers an aggregator named 'FedAgv'" in done.stdout
    )
    assert "Did you mean 'FedAvg' or 'FedAvgM'?" in done.stdout
    assert "1 error, 1 warning, 0 notes" in done.stdout
    assert done.stderr == ""


def test_what_cannot_be_read_is_one_sentence_on_standard_error(tmp_path):
    done = run(tmp_path / "nowhere")

    assert done.stdout == ""
    assert "There is no folder" in done.stderr
    assert "Traceback" not in done.stderr


def test_sarif_and_annotations_name_the_file_below_the_folder(broken):
    log = json.loads(run(broken, "--format", "sarif").stdout)
    lines = run(broken, "--format", "github").stdout.splitlines()

    result = log["runs"][0]["results"][0]
    uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert uri == f"{broken}/config/config_fed_server.json"
    assert lines[0].startswith(f"::error file={broken}/config/config_fed_server.json,title=MMAR501")
    assert len(lines) == 2


def test_it_imports_nothing_heavy_and_no_component():
    program = (
        "import sys\n"
        "from mmar_runner.cli.main import main\n"
        "try:\n"
        "    main(['validate-mmar', *sys.argv[1:]])\n"
        "except SystemExit as end:\n"
        f"    found = sorted(set({HEAVY!r}) & set(sys.modules))\n"
        "    from mmar_runner.hooks import load_plugins\n"
        "    known = load_plugins().registry.descriptions()\n"
        "    targets = {d.target.partition(':')[0] for d in known if d.distribution}\n"
        "    targets -= {t for t in targets if not t.startswith('mmar_runner_')}\n"
        "    found += sorted(targets & set(sys.modules))\n"
        "    print(end.code, found)\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, SAMPLES)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert done.stdout.splitlines()[-1] == "0 []"


def test_own_code_is_never_imported(tmp_path):
    folder = tmp_path / "canary"
    shutil.copytree(ROOT / "mmars" / "echo", folder)
    (folder / "custom").mkdir()
    (folder / "custom" / "canary.py").write_text(
        "raise SystemExit('a validator imported BYOC code')\n"
        "from canary_base import Base\nclass Mean(Base): ...\n"
    )
    (folder / "custom" / "canary_base.py").write_text("class Base: ...\n")
    path = folder / "config" / "config_fed_client.json"
    value = json.loads(path.read_text())
    value["client_trainer"] = {"path": "canary.Mean"}
    path.write_text(json.dumps(value))

    done = run(folder, "--json")

    report = json.loads(done.stdout)
    assert done.returncode == 0
    assert report["byoc"]
    assert {f["code"] for f in report["findings"]} == {"MMAR614"}
    for finding in report["findings"]:  # the next command refuses it without
        assert "`--allow-byoc`" in finding["hint"]
        assert "`policy accept`" in finding["hint"]


_SERIOUS = ("error", "warning")


def test_real_archives_name_only_what_a_person_has_to_decide():
    corpus = Path(os.environ.get("MMAR_CORPUS", "no-such-folder"))
    if not corpus.is_dir():
        pytest.skip("MMAR_CORPUS names no folder of archives")
    catalog = load_plugins().registry
    expected = {
        # The two sides' networks differ.
        "clara4_spleen": ("clara-4", set(), {"MMAR623"}),
        # Its network was TensorFlow's.
        "clara31_spleen": ("clara-3.1", {"MMAR220", "MMAR511"}, set()),
    }
    for name, (generation, errors, warnings) in expected.items():
        report = validate(corpus / name, catalog).report
        found = {s: {f.code for f in report.findings if f.severity == s} for s in _SERIOUS}

        assert report.generation == generation
        assert found == {"error": errors, "warning": warnings}


def test_schemas_are_printed_by_name():
    listed = CliRunner().invoke(schema.command, [])
    printed = CliRunner().invoke(schema.command, ["config_fed_server"])
    unknown = CliRunner().invoke(schema.command, ["nothing"])

    assert "site_policy" in listed.output
    assert json.loads(printed.output) == load_schema("config_fed_server")
    assert "no schema 'nothing'" in str(unknown.exception)


def test_the_command_is_a_click_command():
    done = CliRunner().invoke(validate_mmar.command, ["--help"])

    assert done.exit_code == 0
    for option in ("--side", "--policy", "--format", "--strict", "--set"):
        assert option in done.output
