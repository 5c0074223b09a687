# SPDX-License-Identifier: Apache-2.0
"""The torch plugin, with the data and the configuration of a sample archive."""

import shutil
from functools import cache, partial
from pathlib import Path

import pytest

from mmar_runner.hooks import load_plugins
from mmar_runner.hooks.components import blueprint, build_component
from mmar_runner.interfaces.client_trainer import TrainerContext
from mmar_runner.mmar.validation import validate
from mmar_runner.testing.contracts import (
    ClientTrainerContract,
    ModelPersistorContract,
    ModelValidatorContract,
)

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


class TestTorchModelValidator(UsesTheArchive, ModelValidatorContract):
    def make(self):
        return build_component(catalog(), "model_validator", {"name": "TorchModelValidator"})


class TestPTFileModelPersistor(ModelPersistorContract):
    def make(self):
        return persistor()
