# SPDX-License-Identifier: Apache-2.0
"""The trainers of docs/how-to/bring-your-own-trainer.md do what the page says."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from pathlib import Path

import pytest

from mmar_runner.children.process import ChildProcess
from mmar_runner.children.spec import ChildContext, ChildSpec
from mmar_runner.deep.check import look_deep
from mmar_runner.deep.options import DeepOptions
from mmar_runner.hooks import load_plugins
from mmar_runner.mmar.validation import validate
from mmar_runner_torch.files import read_state, write_state

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs/how-to/bring-your-own-trainer.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
CODE = [text for language, text in BLOCKS if language == "python"]


@pytest.fixture
def mmar(tmp_path):
    """The sample with the page's modules in custom/ and the page's declaration."""
    folder = tmp_path / "my_mmar"
    shutil.copytree(ROOT / "mmars/breast_cancer", folder)
    (folder / "custom").mkdir()
    (folder / "custom/hospital.py").write_text(CODE[0])
    (folder / "custom/average.py").write_text(CODE[1])
    (folder / "custom/checked.py").write_text(CODE[2])
    declaration = next(json.loads(text) for _, text in BLOCKS if "hospital.Hosp" in text[:99])
    client = folder / "config/config_fed_client.json"
    client.write_text(json.dumps({**json.loads(client.read_text()), **declaration}))
    return folder


def trained(mmar, declaration, folder):
    """Let a child train three rounds; return its last answer and the model."""
    variables = {"SITE_INDEX": 2}
    spec = ChildSpec(
        role="client_trainer",
        component=declaration,
        context=ChildContext("site-2", str(mmar), str(folder), variables=variables),
        custom_dir=str(mmar / "custom"),
    )
    model, update = folder / "model.safetensors", folder / "update.safetensors"

    async def scenario():
        first = ChildSpec(
            role="model_persistor",
            component=json.loads((mmar / "config/config_fed_server.json").read_text())[
                "model_persistor"
            ],
        )
        persistor = await ChildProcess.start(first, log=folder / "log")
        await persistor.request("initial_model", {"destination": str(model), "seed": 1})
        await persistor.close()
        child = await ChildProcess.start(spec, log=folder / "log")
        answers = []
        for number in range(3):
            paths = {"model": model, "update": update, "state": folder, "new_state": folder}
            task = {"run_number": 1, "round": number, "num_rounds": 3, "seed": number}
            task |= {name: str(path) for name, path in paths.items()}
            answers.append(await child.request("train", task))
            write_state(model, read_state(update))
        await child.close()
        return answers

    return asyncio.run(scenario()), read_state(model)


def test_the_archive_is_valid_and_known_to_bring_code(mmar):
    report = validate(mmar, load_plugins().registry).report
    assert report.valid
    assert report.byoc


def test_the_loop_of_the_page_learns(mmar, tmp_path):
    declaration = {"path": "hospital.HospitalTrainer", "args": {"learning_rate": 0.5, "epochs": 20}}
    answers, _ = trained(mmar, declaration, tmp_path)
    assert [answer["num_samples"] for answer in answers] == [64, 64, 64]
    losses = [answer["validation"]["val_loss"] for answer in answers]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0] / 2


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_trainer_with_the_optional_methods_is_looked_at_before_it_runs(mmar):
    client = mmar / "config/config_fed_client.json"
    declared = json.loads(client.read_text())
    declared["client_trainer"]["path"] = "checked.CheckedTrainer"
    client.write_text(json.dumps(declared))
    plugins = load_plugins()
    options = DeepOptions(own_code=True, dry_run=True)

    with asyncio.Runner() as runner:
        report = look_deep(validate(mmar, plugins.registry), plugins, options, runner)

    assert {finding.code for finding in report.findings} == {"MMAR614"}  # it brings code
    assert report.deep.networks["client"] == report.deep.networks["server"]
    assert report.deep.dry_run == 2


def test_the_trainer_without_torch_moves_every_tensor_to_its_mean(mmar, tmp_path):
    answers, model = trained(mmar, {"path": "average.MeanTrainer", "args": {"cases": 9}}, tmp_path)
    assert answers[-1]["num_samples"] == 9
    for tensor in model.values():
        assert float(tensor.mean()) == pytest.approx(answers[-1]["metrics"]["mean"], abs=1e-5)
