# SPDX-License-Identifier: Apache-2.0
"""``validate-mmar --deep`` and ``--dry-run`` as people call them, with networks of torch."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from mmar_runner.documents.schema_store import load_schema

ROOT = Path(__file__).parents[2]
COMMANDS = ROOT / "mmars" / "digits_entry_points"
FOLDERS = sorted(path for path in (ROOT / "mmars").iterdir() if (path / "config").is_dir())
SAMPLES = [folder for folder in FOLDERS if folder != COMMANDS]
SERVER, TRAIN = "config/config_fed_server.json", "config/config_train.json"


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "mmar_runner", "validate-mmar", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=500,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
        check=False,
    )


@pytest.fixture
def job(tmp_path):
    """Return a function that writes an MMAR whose two networks are declared by path."""

    def written(made, trained):
        folder = tmp_path / "job"
        shutil.copytree(ROOT / "mmars" / "breast_cancer", folder)
        for file, keys, model in (
            (SERVER, ("model_persistor", "args"), made),
            (TRAIN, ("train",), trained),
        ):
            value = json.loads((folder / file).read_text())
            place = value
            for key in keys:
                place = place[key]
            place["model"] = {"path": "torch.nn.Linear", "args": model}
            (folder / file).write_text(json.dumps(value, indent=2))
        return folder

    return written


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_sample_passes_a_deep_check():
    done = run(*SAMPLES, "--deep", "--json")

    reports = json.loads(done.stdout)
    Draft202012Validator(load_schema("validate_report")).validate(reports)
    assert [report["findings"] for report in reports] == [[] for _ in SAMPLES]
    assert (done.returncode, done.stderr) == (0, "")
    for report in reports:
        networks = report["deep"]["networks"]
        assert networks["server"] == networks.get("client", networks["server"])
        figures = {one["what"]: one for one in report["deep"]["figures"]}
        assert figures["update_up"]["estimate"] > 0
        assert figures["trainer_memory"]["estimate"] > figures["model_down"]["estimate"]


@pytest.mark.parametrize(
    ("options", "tensors", "notes"), [((), None, 2), (("--allow-byoc",), 4, 0)]
)
def test_commands_make_a_model_only_where_they_may_run(options, tensors, notes):
    done = run(COMMANDS, "--deep", "--json", *options)
    report = json.loads(done.stdout)
    Draft202012Validator(load_schema("validate_report")).validate(report)
    assert report["deep"]["networks"].get("server", {}).get("tensors") == tensors
    codes = [finding["code"] for finding in report["findings"]]
    assert codes.count("MMAR667") == notes
    assert {*codes} - {"MMAR667"} == {"MMAR614", "MMAR670"}


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("sample", ["breast_cancer", "digits_secure", "digits_cross_site"])
def test_a_round_of_a_sample_on_made_up_data(sample):
    done = run(ROOT / "mmars" / sample, "--dry-run", "--json")

    report = json.loads(done.stdout)
    Draft202012Validator(load_schema("validate_report")).validate(report)
    assert (done.returncode, report["findings"], done.stderr) == (0, [], "")
    assert report["deep"]["dry_run"]["clients"] == (3 if sample == "digits_secure" else 2)
    for figure in report["deep"]["figures"]:
        if figure["what"] in {"model_down", "update_up"}:
            assert figure["measured"] == figure["estimate"]
        if figure["what"] == "trainer_memory":
            assert 0.5 < figure["measured"] / figure["estimate"] < 2


def test_two_rounds_follow_each_other_and_their_table_is_shown():
    echo = ROOT / "mmars" / "echo"
    done = run(echo, echo, "--dry-run")

    assert done.returncode == 0
    assert done.stderr.splitlines()[:2] == [
        "echo: the declared networks are built and compared",
        "echo: one round of 2 clients is tried on made-up data",
    ]
    assert done.stdout.count("dry run, 2 clients") == 2
    assert "the server: memory, at most" in done.stdout


def test_an_interrupted_dry_run_is_no_finding():
    arguments = ["validate-mmar", str(ROOT / "mmars" / "echo"), "--dry-run"]
    with subprocess.Popen(
        [sys.executable, "-m", "mmar_runner", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        for line in process.stderr:
            if "one round" in line:
                break
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=60)

    assert (process.returncode, output) == (130, "")
    assert errors.splitlines()[-1] == "interrupted"


def test_what_is_said_as_json_has_no_progress_beside_it():
    done = run(ROOT / "mmars" / "echo", "--deep", "--json")

    assert (done.returncode, done.stderr) == (0, "")


def test_layers_of_torch_that_differ_are_found_where_they_are_declared(job):
    folder = job({"in_features": 30, "out_features": 1}, {"in_features": 30, "out_features": 2})
    assert run(folder).returncode == 0  # by their declarations alone nobody can say

    done = run(folder, "--deep")

    assert done.returncode == 1
    assert "error    MMAR663  2 tensors have another shape (weight, bias)" in done.stdout
    assert "weight is F32[1, 30] in the server's model and F32[2, 30]" in done.stdout
    assert "MMAR623" not in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_a_network_that_cannot_be_built_is_found_where_it_is_declared(job):
    done = run(
        job({"in_features": 30, "out_features": 1}, {"in_features": 30, "out_features": -1}),
        "--deep",
    )

    assert done.returncode == 1
    assert "error    MMAR666  Model 'torch.nn.Linear' cannot be built: RuntimeError" in done.stdout
    assert "(/train/model)" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--dry-run", "--side", "client"], "--dry-run tries both sides"),
        (["--allow-byoc"], "without --deep or --dry-run nothing runs"),
    ],
)
def test_options_that_mean_nothing_together_are_refused(arguments, words):
    done = run(ROOT / "mmars" / "echo", *arguments)

    assert done.returncode == 2
    assert words in done.stderr
