# SPDX-License-Identifier: Apache-2.0
"""The built-in command modules keep the contract of command modules."""

import pytest

from mmar_runner.admin.modules.built_in import BUILT_IN_MODULES
from mmar_runner.testing.contracts import AdminCmdModuleContract


@pytest.mark.parametrize("module", BUILT_IN_MODULES, scope="class")
class TestBuiltIn(AdminCmdModuleContract):
    built_in = True

    @pytest.fixture(autouse=True)
    def _of_this_module(self, module):
        self.module = module

    def make(self):
        return self.module()
