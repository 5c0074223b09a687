# SPDX-License-Identifier: Apache-2.0
from mmar_runner.federation.fedbuff import FedBuff
from mmar_runner.testing.contracts import WorkflowContract


class TestFedBuff(WorkflowContract):
    def make(self):
        return FedBuff(max_staleness=2)
