# SPDX-License-Identifier: Apache-2.0
from mmar_runner.interfaces.aggregator import UpdateKind
from mmar_runner.testing.contracts import StatefulAggregatorContract
from mmar_runner_scaffold.scaffold import Scaffold


class TestScaffold(StatefulAggregatorContract):
    is_weighted_mean = True
    kind = UpdateKind.WEIGHT_DIFF

    def make(self):
        return Scaffold(num_clients=20)
