# SPDX-License-Identifier: Apache-2.0
from mmar_runner.testing.contracts import StatefulAggregatorContract
from mmar_runner_fedopt.optimizers import FedAdagrad, FedAdam, FedAvgM, FedYogi


class TestFedAvgM(StatefulAggregatorContract):
    is_weighted_mean = True

    def make(self):
        return FedAvgM(server_learning_rate=0.7)


class TestFedAdagrad(StatefulAggregatorContract):
    is_weighted_mean = True

    def make(self):
        return FedAdagrad(beta1=0.5)


class TestFedYogi(StatefulAggregatorContract):
    is_weighted_mean = True

    def make(self):
        return FedYogi()


class TestFedAdam(StatefulAggregatorContract):
    is_weighted_mean = True

    def make(self):
        return FedAdam(aggregation_weights={"site-1": 0.5})
