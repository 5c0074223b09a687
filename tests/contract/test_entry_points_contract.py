# SPDX-License-Identifier: Apache-2.0
"""The suites, held to commands of the sample MMAR: other programs, other processes."""

from pathlib import Path

from mmar_runner.interfaces.client_trainer import TrainerContext
from mmar_runner.testing.contracts import (
    ClientTrainerContract,
    ModelPersistorContract,
    ModelValidatorContract,
)
from mmar_runner_entry_points.persistor import EntryPointModel
from mmar_runner_entry_points.trainer import EntryPointTrainer
from mmar_runner_entry_points.validator import EntryPointValidator

MMAR = Path(__file__).parents[2] / "mmars" / "digits_entry_points"
SITE = {"SITE_INDEX": 1, "NUM_SITES": 8, "DATA_SEED": 0, "LOCAL_EPOCHS": 1}
BUILD, TRAIN, VALIDATE = (
    {"command": ["python3", f"custom/{name}.py"]} for name in ("build", "train", "validate")
)


def _no_components(kind, declaration):
    raise AssertionError(f"there are no parts, not even {kind} {declaration}")


def told(workspace):
    return TrainerContext("site-1", MMAR, workspace, {}, {}, {}, _no_components, commands=True)


def write_model(destination):
    persistor = EntryPointModel(build=BUILD)
    workspace = destination.parent / "of_persistor"
    workspace.mkdir(exist_ok=True)
    persistor.setup(told(workspace))
    persistor.initial_model(destination, seed=1)


class TestEntryPointTrainer(ClientTrainerContract):
    def make(self):
        return EntryPointTrainer(train=TRAIN, validate=VALIDATE, environment=SITE)

    def context(self, workspace):
        return told(workspace)

    def model(self, destination):
        write_model(destination)


class TestEntryPointModel(ModelPersistorContract):
    def make(self):
        return EntryPointModel(build=BUILD)

    def context(self, workspace):
        return told(workspace)


class TestEntryPointValidator(ModelValidatorContract):
    def make(self):
        return EntryPointValidator(validate=VALIDATE, environment=SITE)

    def context(self, workspace):
        return told(workspace)

    def model(self, destination):
        write_model(destination)
