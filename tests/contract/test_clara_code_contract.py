# SPDX-License-Identifier: Apache-2.0
"""The adapters of older code keep the contracts of their kinds, with the sample's classes."""

from __future__ import annotations

import numpy as np
import pytest

from mmar_runner.interfaces.client_trainer import TrainerContext
from mmar_runner.testing.contracts import (
    ClientTrainerContract,
    FilterContract,
    WholeUpdateAggregatorContract,
)
from mmar_runner_clara_code.aggregator import ClaraCodeAggregator
from mmar_runner_clara_code.filter import ClaraCodeFilter
from mmar_runner_clara_code.trainer import ClaraCodeTrainer
from mmar_runner_echo.persistor import EchoModelPersistor
from tests.unit.plugins_clara_code.older import SAMPLE, nothing_imported, sample


@pytest.fixture(autouse=True)
def nothing_is_left():
    yield
    nothing_imported()


class TestClaraCodeFilter(FilterContract):
    dtypes = (np.float64, np.int64)

    def make(self):
        return ClaraCodeFilter(sample("filter", "leave_out.LeaveOut", exclude_vars="nothing"))


class TestClaraCodeTrainer(ClientTrainerContract):
    def make(self):
        return ClaraCodeTrainer(sample("client_trainer", "mean_trainer.MeanTrainer"))

    def context(self, workspace):
        return TrainerContext("site-1", SAMPLE, workspace, {}, {}, {}, lambda *_: None)

    def model(self, destination):
        EchoModelPersistor(size_mb=0.01, arrays=3).initial_model(destination, seed=1)


class TestClaraCodeAggregator(WholeUpdateAggregatorContract):
    def make(self):
        return ClaraCodeAggregator(sample("aggregator", "weighted_sum.WeightedSum"))
