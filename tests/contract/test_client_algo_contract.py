# SPDX-License-Identifier: Apache-2.0
"""The trainer that has a ClientAlgo train, with an algorithm of a few lines."""

import pytest
import torch

from mmar_runner.interfaces.client_trainer import TrainerContext
from mmar_runner.testing.contracts import ClientTrainerContract
from mmar_runner_torch.files import write_state

pytestmark = pytest.mark.timeout(180)  # Importing MONAI alone may take a minute on a busy machine.

MODEL = {"weight": torch.arange(6.0).reshape(2, 3), "steps": torch.tensor(3)}


def noisy():
    """Return an algorithm that adds noise to a model; MONAI is imported only here."""
    from monai.fl.client import ClientAlgo
    from monai.fl.utils.constants import WeightType
    from monai.fl.utils.exchange_object import ExchangeObject

    class Noisy(ClientAlgo):
        def train(self, data, extra=None):
            self.weights = dict(data.weights)
            self.weights["weight"] = self.weights["weight"] + torch.randn(2, 3)

        def get_weights(self, extra=None):
            return ExchangeObject(weights=self.weights, weight_type=WeightType.WEIGHTS)

        def evaluate(self, data, extra=None):
            return ExchangeObject(metrics={"val_sum": data.weights["weight"].sum()})

    return Noisy()


class Blueprint:
    name = "Noisy"

    def __init__(self):
        self.args = {}

    def build(self):
        return noisy()


class TestClientAlgoTrainer(ClientTrainerContract):
    def make(self):
        from mmar_runner_monai.algo.trainer import ClientAlgoTrainer

        return ClientAlgoTrainer(Blueprint())

    def context(self, workspace):
        mmar = workspace.parent / "mmar"
        mmar.mkdir(exist_ok=True)
        return TrainerContext("site-1", mmar, workspace, {}, {}, {}, None, expressions=True)

    def model(self, destination):
        write_state(destination, MODEL)
