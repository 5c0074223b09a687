# SPDX-License-Identifier: Apache-2.0
from mmar_runner.testing.contracts import AggregatorContract
from mmar_runner_fedavg.fedavg import FedAvg


class TestFedAvg(AggregatorContract):
    is_weighted_mean = True

    def make(self):
        return FedAvg()


class TestFedAvgWithClientWeights(AggregatorContract):
    clients = 3
    is_weighted_mean = True

    def make(self):
        return FedAvg(aggregation_weights={"site-1": 0.0, "site-2": 2.5}, exclude_vars="running_")


class TestFedAvgOfOneClient(AggregatorContract):
    clients = 1
    is_weighted_mean = True

    def make(self):
        return FedAvg()
