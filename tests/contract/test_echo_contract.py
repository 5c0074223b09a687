# SPDX-License-Identifier: Apache-2.0
from mmar_runner.interfaces.client_trainer import TrainerContext
from mmar_runner.testing.contracts import ClientTrainerContract, ModelPersistorContract
from mmar_runner_echo.persistor import EchoModelPersistor
from mmar_runner_echo.trainer import EchoTrainer


def _no_components(kind, declaration):
    raise AssertionError(f"the echo trainer has no parts, not even {kind} {declaration}")


class TestEchoTrainer(ClientTrainerContract):
    def make(self):
        return EchoTrainer(noise=0.1)

    def context(self, workspace):
        return TrainerContext("site-1", workspace, workspace, {}, {}, {}, _no_components)

    def model(self, destination):
        EchoModelPersistor(size_mb=0.01, arrays=3).initial_model(destination, seed=1)


class TestEchoModelPersistor(ModelPersistorContract):
    def make(self):
        return EchoModelPersistor(size_mb=0.01, arrays=3)
