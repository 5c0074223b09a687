# SPDX-License-Identifier: Apache-2.0
"""The command modules of every server, in the order in which help lists them."""

from typing import Final

from mmar_runner.admin.modules.inspection import InspectionCommands
from mmar_runner.admin.modules.shell import ShellCommands
from mmar_runner.admin.modules.system import SystemCommands
from mmar_runner.admin.modules.training import TrainingCommands
from mmar_runner.admin.modules.validation import ValidationCommands

BUILT_IN_MODULES: Final = (
    TrainingCommands,
    ValidationCommands,
    ShellCommands,
    SystemCommands,
    InspectionCommands,
)
