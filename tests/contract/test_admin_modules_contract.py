# SPDX-License-Identifier: Apache-2.0
"""The built-in command modules keep the contract of command modules."""

from mmar_runner.admin.modules.training import TrainingCommands
from mmar_runner.testing.contracts import AdminCmdModuleContract


class TestTrainingCommands(AdminCmdModuleContract):
    built_in = True

    def make(self):
        return TrainingCommands()
