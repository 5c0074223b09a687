# SPDX-License-Identifier: Apache-2.0
"""MONAI bundles through whole federations: trained, refused, and expressions where they may run."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import replace

import pytest
from click.testing import CliRunner

from mmar_runner.children.process import ChildProcess
from mmar_runner.children.spec import ChildContext, ChildSpec
from mmar_runner.cli.commands.import_bundle import command
from mmar_runner.errors import NotAuthorizedError, TaskFailedError
from mmar_runner.hooks import load_plugins
from mmar_runner.mmar.validation import validate
from mmar_runner.testing.federation import Federation
from tests.monai_bundles import training, with_expressions, write_bundle

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]  # every child imports MONAI


@pytest.fixture
def study(tmp_path):
    """Import a bundle and return the MMAR's folder."""

    def study(config, files=()):
        bundle = write_bundle(tmp_path / "bundle", config, files)
        done = CliRunner().invoke(command, [str(bundle), "--out", str(tmp_path / "study")])
        assert done.exit_code == 0, done.output
        return tmp_path / "study"

    return study


def rounds(outcome):
    summary = json.loads((outcome.run_folder / "summary.json").read_text())
    return [one["metrics"] for one in summary["rounds"]]


def test_two_clients_learn_what_a_bundle_teaches(study, tmp_path):
    mmar = study(training())

    with Federation(mmar, workspace=tmp_path / "work", variables={"NUM_ROUNDS": 3}) as federation:
        outcome = federation.run(timeout=240)

    accuracy = [one["val_accuracy"] for one in rounds(outcome)]
    assert outcome.status == "finished"
    assert accuracy[-1] > accuracy[0]
    assert accuracy[-1] >= 0.9
    for name in ("site-1", "site-2"):  # the MMAR stays as it was accepted; they work in a copy
        assert list((tmp_path / "work").rglob(f"{name}/**/app/bundle/configs/train.json"))


def test_expressions_run_in_the_trainers_process_alone_and_with_leave(study, tmp_path):
    config = with_expressions()
    seen = tmp_path / "seen"
    file = f"__import__('pathlib').Path({str(seen)!r}).open('a')"
    text = f"${file}.write(str(__import__('os').getpid()) + ' ')"
    config["imports"].append("$import pathlib")
    config["initialize"] = [text]
    mmar = study(config)
    validate(mmar, load_plugins().registry)
    assert not seen.exists()

    variables = {"NUM_ROUNDS": 1}
    with Federation(mmar, workspace=tmp_path / "refused", variables=variables) as federation:
        federation.serve()
        joined = federation.join("site-1")
        with pytest.raises(NotAuthorizedError) as refused:
            joined.result(60)
        assert refused.value.reason == "EXPRESSIONS_NOT_ALLOWED"
        federation.stop()
    assert not seen.exists()

    with Federation(
        mmar, workspace=tmp_path / "work", variables=variables, allow_byoc=True
    ) as federation:
        outcome = federation.run(timeout=240)

    assert outcome.status == "finished"
    assert str(os.getpid()) not in seen.read_text().split()


def test_a_trainers_process_refuses_by_itself(study, tmp_path):
    """Whoever started it may have been deceived: nothing of the MMAR is believed there."""
    canary = tmp_path / "canary"
    config = with_expressions()
    config["initialize"] = [f"$__import__('pathlib').Path({str(canary)!r}).touch()"]
    mmar = study(config)
    spec = validate(mmar, load_plugins().registry).spec
    (tmp_path / "work").mkdir()
    told = ChildContext("site-1", str(mmar), str(tmp_path / "work"))
    declared = spec.client.client_trainer.declaration
    child = ChildSpec("client_trainer", declared, context=told)

    async def started(spec):
        await (await ChildProcess.start(spec, log=tmp_path / "log")).close()

    with pytest.raises(TaskFailedError) as refused:
        asyncio.run(started(child))

    assert refused.value.reason == "EXPRESSIONS_NOT_ALLOWED"
    assert not canary.exists()
    asyncio.run(started(replace(child, context=replace(told, expressions=True))))
    assert canary.exists()


ALGO = '''
"""An algorithm of the MMAR's own, in numpy."""

import numpy as np
from monai.fl.client import ClientAlgo
from monai.fl.utils.constants import WeightType
from monai.fl.utils.exchange_object import ExchangeObject


class Adder(ClientAlgo):
    def __init__(self, step):
        self.step = step

    def train(self, data, extra=None):
        self.weights = {name: np.full_like(w, self.step) for name, w in data.weights.items()}

    def get_weights(self, extra=None):
        return ExchangeObject(weights=self.weights, weight_type=WeightType.WEIGHT_DIFF)
'''


def test_an_algorithm_of_the_mmars_own_runs_unchanged(study, tmp_path):
    mmar = study(training())
    (mmar / "custom").mkdir()
    (mmar / "custom" / "adder.py").write_text(ALGO)
    file = mmar / "config" / "config_fed_client.json"
    client = json.loads(file.read_text())
    algo = {"path": "adder.Adder", "args": {"step": 0.5}}
    client["client_trainer"]["args"] = {"algo": algo, "tensors": "numpy", "send": "weight_diff"}
    file.write_text(json.dumps(client))
    server = mmar / "config" / "config_fed_server.json"
    declared = json.loads(server.read_text())
    server.write_text(json.dumps({**declared, "handlers": []}))

    with Federation(
        mmar, workspace=tmp_path / "work", variables={"NUM_ROUNDS": 2}, allow_byoc=True
    ) as federation:
        outcome = federation.run(timeout=240)

    from mmar_runner_torch.files import read_state

    first, last = (
        read_state(outcome.run_folder / "models" / f"round_{number:04d}.safetensors")
        for number in (1, 2)
    )
    assert outcome.status == "finished"
    assert all(((last[name] - first[name] - 0.5).abs() < 1e-6).all() for name in last)
