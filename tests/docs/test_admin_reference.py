# SPDX-License-Identifier: Apache-2.0
"""The table of commands is what the code says of them, and the how-to's module works."""

import re
from pathlib import Path

from mmar_runner.console.conversation import typed
from mmar_runner.console.own_commands import ALIASES, OWN
from mmar_runner.orders.commands import BUILT_IN
from mmar_runner.testing.contracts import AdminCmdModuleContract

DOCS = Path(__file__).resolve().parents[2] / "docs"
REFERENCE = (DOCS / "reference" / "admin.md").read_text()
CODE = re.findall(
    r"```python\n(.*?)```", (DOCS / "how-to" / "write-an-admin-command.md").read_text(), re.DOTALL
)


def row(spec):
    usage = f"`{spec.usage}`".replace("|", "\\|")
    right = f"`{spec.right}`" if spec.right else ""
    return f"| {usage} | {right} | {'yes' if spec.destructive else ''} | {spec.summary} |"


def test_every_command_has_its_row_and_no_other_has_one():
    section = REFERENCE.partition("## Commands\n")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    assert rows == [row(spec) for spec in {**typed(BUILT_IN), **OWN}.values()]


def test_older_names_are_told():
    for name in ALIASES:
        assert f"`{name}" in REFERENCE, name


class TestModuleOfTheHowTo(AdminCmdModuleContract):
    def make(self):
        names = {}
        for block in CODE:
            exec(block, names)  # noqa: S102 - our own page
        return names["SlowClients"]()
