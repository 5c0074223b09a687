# SPDX-License-Identifier: Apache-2.0
"""Contract suites: what every component of a kind must do, as tests to inherit.

Derive a class whose name begins with ``Test``, say how the component is made, and run
pytest; every bundled plugin is tested by the same classes::

    class TestMedian(AggregatorContract):
        def make(self):
            return Median()

A suite shows that a component is a good citizen of its kind. It does not show that the
idea behind it is right: that is the author's own test.
"""

from mmar_runner.testing.contracts.admin_cmd_module import AdminCmdModuleContract
from mmar_runner.testing.contracts.aggregator import AggregatorContract
from mmar_runner.testing.contracts.client_trainer import ClientTrainerContract
from mmar_runner.testing.contracts.filter import FilterContract
from mmar_runner.testing.contracts.handler import HandlerContract
from mmar_runner.testing.contracts.model_persistor import ModelPersistorContract
from mmar_runner.testing.contracts.model_validator import ModelValidatorContract
from mmar_runner.testing.contracts.registration import RegistrationContract
from mmar_runner.testing.contracts.result_processor import ResultProcessorContract
from mmar_runner.testing.contracts.stateful_aggregator import StatefulAggregatorContract
from mmar_runner.testing.contracts.whole_update_aggregator import WholeUpdateAggregatorContract
from mmar_runner.testing.contracts.workflow import WorkflowContract

__all__ = [
    "AdminCmdModuleContract",
    "AggregatorContract",
    "ClientTrainerContract",
    "FilterContract",
    "HandlerContract",
    "ModelPersistorContract",
    "ModelValidatorContract",
    "RegistrationContract",
    "ResultProcessorContract",
    "StatefulAggregatorContract",
    "WholeUpdateAggregatorContract",
    "WorkflowContract",
]
