# SPDX-License-Identifier: Apache-2.0
"""The torch plugin, with the data and the configuration of a sample archive."""

import shutil
from functools import cache, partial
from pathlib import Path

import pytest
import torch

from mmar_runner.hooks import load_plugins
from mmar_runner.hooks.components import blueprint, build_component
from mmar_runner.interfaces.client_trainer import TrainerContext
from mmar_runner.interfaces.companions import CONTROL_VARIATE, companion_of
from mmar_runner.mmar.validation import validate
from mmar_runner.testing.contracts import (
    ClientTrainerContract,
    ModelPersistorContract,
    ModelValidatorContract,
)
from mmar_runner_torch.files import read_state, write_state

ARCHIVE = Path(__file__).resolve().parents[2] / "mmars" / "breast_cancer"

pytestmark = pytest.mark.timeout(120)  # Importing torch alone may take ten seconds.


@cache
def catalog():
    return load_plugins(allow=["mmar-runner-torch", "mmar-runner-sklearn"]).registry


@cache
def spec():
    settings = {"SITE_INDEX": 1, "NUM_SITES": 3}
    return validate(ARCHIVE, load_plugins().registry, settings=settings).spec


@pytest.fixture(scope="module")
def initial_model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "initial.safetensors"
    persistor().initial_model(path, seed=1)
    return path


def persistor():
    return build_component(catalog(), "model_persistor", spec().server.model_persistor.declaration)


class UsesTheArchive:
    @pytest.fixture(autouse=True)
    def _with_model(self, initial_model):
        self._initial = initial_model

    def context(self, workspace):
        return TrainerContext(
            client_name="site-1",
            mmar=ARCHIVE,
            workspace=workspace,
            train_config=spec().train_config,
            validation_config=spec().validation_config,
            variables=spec().variables,
            blueprint=partial(blueprint, catalog()),
        )

    def model(self, destination):
        shutil.copyfile(self._initial, destination)


class TestTorchTrainer(UsesTheArchive, ClientTrainerContract):
    def make(self):
        return build_component(
            catalog(), "client_trainer", {"name": "TorchTrainer", "args": {"local_epochs": 1}}
        )


class TestSiteTensorsAndAccumulation(UsesTheArchive, ClientTrainerContract):
    """FedProx, a part that stays at the site, groups of batches, half precision, steps."""

    def make(self):
        arguments = {"fedprox_mu": 0.1, "exclude_vars": "^2", "accumulate_steps": 2}
        arguments |= {"amp": True, "steps_aggregation": 5, "send": "weight_diff"}
        return build_component(
            catalog(), "client_trainer", {"name": "TorchTrainer", "args": arguments}
        )


class _Accompanied(UsesTheArchive):
    def model(self, destination):
        state = read_state(self._initial)
        beside = {companion_of(CONTROL_VARIATE, n): torch.zeros_like(t) for n, t in state.items()}
        write_state(destination, state | beside)


class TestScaffold(_Accompanied, ClientTrainerContract):
    def make(self):
        arguments = {"algorithm": "scaffold", "send": "weight_diff"}
        return build_component(
            catalog(), "client_trainer", {"name": "TorchTrainer", "args": arguments}
        )


class TestATrainerThatKnowsNoCompanions(_Accompanied, ClientTrainerContract):
    def make(self):
        return build_component(catalog(), "client_trainer", {"name": "TorchTrainer"})


class TestDpSgd(UsesTheArchive, ClientTrainerContract):
    def make(self):
        dp = {"max_grad_norm": 1.0, "noise_multiplier": 1.0, "delta": 1e-5}
        return build_component(
            catalog(), "client_trainer", {"name": "TorchTrainer", "args": {"dp": dp}}
        )

    def test_same_seed_same_bytes(self, tmp_path):
        """The one law that it breaks, and has to: the seed must not tell the noise."""
        first, _ = self._trained(tmp_path / "first")
        second, _ = self._trained(tmp_path / "second")
        assert first.update.read_bytes() != second.update.read_bytes()


class TestTorchModelValidator(UsesTheArchive, ModelValidatorContract):
    def make(self):
        return build_component(catalog(), "model_validator", {"name": "TorchModelValidator"})


class TestPTFileModelPersistor(ModelPersistorContract):
    def make(self):
        return persistor()
