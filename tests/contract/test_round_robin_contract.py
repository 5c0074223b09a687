# SPDX-License-Identifier: Apache-2.0
from mmar_runner.federation.round_robin import RoundRobin
from mmar_runner.testing.contracts import WorkflowContract


class TestRoundRobin(WorkflowContract):
    def make(self):
        return RoundRobin()


class TestRoundRobinInAnOrder(WorkflowContract):
    def make(self):
        return RoundRobin(order=["site-09", "absent", "site-02"])
