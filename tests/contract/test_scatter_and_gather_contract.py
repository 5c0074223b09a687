# SPDX-License-Identifier: Apache-2.0
from mmar_runner.federation.scatter_and_gather import ScatterAndGather
from mmar_runner.testing.contracts import WorkflowContract


class TestScatterAndGather(WorkflowContract):
    def make(self):
        return ScatterAndGather()
