# SPDX-License-Identifier: Apache-2.0
"""A federated configuration of generation 3.1 runs as it is, and upgraded, to the same model."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SELECTOR = "nvflare.components.handlers.intime_model_selection_handler.IntimeModelSelectionHandler"
SERVER = {
    "servers": [
        {
            "name": "echo",
            "service": {},
            "ssl_cert": "resources/certs/server.crt",
            "min_num_clients": 2,
            "num_rounds": 2,
            "start_round": 0,
            "exclude_vars": "dummy",
            "num_server_workers": 100,
            "validate_on_server": False,
            "compression": "Gzip",
        }
    ],
    "aggregator": {
        "path": "fed_learn.server.model_aggregator.ModelAggregator",
        "args": {"exclude_vars": "dummy", "aggregation_weights": {"site-1": 3}},
    },
    "pre_processors": [{"name": "ModelEncryptor"}, {"name": "DataCompressor", "args": {}}],
    "post_processors": [{"name": "DataDeCompressor"}, {"name": "ModelDecryptor"}],
    "model_saver": {"name": "EchoModelPersistor", "args": {"size_mb": 0.1, "arrays": 2}},
    "admin_cmd_modules": [{"name": "TrainingCommandModule"}],
    "handlers": [{"path": SELECTOR, "args": {}}],
    "result_processors": [{"name": "ValidateResultProcessor"}],
}
CLIENT = {
    "servers": [{"name": "echo", "service": {}}],
    "client_trainer": {"name": "EchoTrainer", "args": {"constant": "{SITE_INDEX}"}},
    "client": {
        "exclude_vars": "dummy",
        "privacy": {"name": "PercentileProtocol", "args": {"percentile": 0, "gamma": 100}},
        "pre_processors": [
            {"name": "IteratorNumberGenerator", "args": {"field": "n_iter"}},
            {"name": "ModelEncryptor"},
            {"name": "DataCompressor"},
        ],
        "post_processors": [{"name": "DataDeCompressor"}, {"name": "ModelDecryptor"}],
        "req_processors": [{"name": "StartClientMGpuProcessor"}],
        "model_reader_writer": {"name": "TFModelReaderWriter"},
        "retry_timeout": 30,
    },
}


@pytest.fixture
def older(tmp_path):
    folder = tmp_path / "older"
    for name, value in (("server", SERVER), ("client", CLIENT)):
        path = folder / "config" / f"config_fed_{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value, indent=4))
    return folder


def program(*words):
    command = [sys.executable, "-P", "-m", "mmar_runner", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def trained(mmar, workspace):
    """Return the digests of the models that two clients make of an MMAR, round after round."""
    program("simulate", mmar, "--clients", 2, "--workspace", workspace)
    told = json.loads((workspace / "run_1" / "summary.json").read_bytes())
    assert told["status"] == "finished"
    return [entry["model_sha256"] for entry in told["rounds"]]


def test_it_runs_as_it_is_and_upgraded_to_the_same_model(older, tmp_path):
    kept = Path(shutil.copytree(older, tmp_path / "kept"))
    program("upgrade-mmar", older, "--out", tmp_path / "new")

    first = trained(older, tmp_path / "first")

    assert len(set(first)) == 2
    assert trained(tmp_path / "new", tmp_path / "second") == first
    for path in (path for path in kept.rglob("*") if path.is_file()):
        assert (older / path.relative_to(kept)).read_bytes() == path.read_bytes()
