# SPDX-License-Identifier: Apache-2.0
"""Writes the page of what older code can import: ``python -m mmar_runner_clara_code.reference``."""

from __future__ import annotations

import importlib
import sys
from typing import Any, Final

from mmar_runner_clara_code.api.constants import Named, constants_of
from mmar_runner_clara_code.names import TABLE

_HEAD: Final = """# What code of Clara Train 4 can import

Code in an archive's `custom/` that imports these names gets classes of
`mmar_runner_clara_code.api` ([how it runs](../how-to/run-old-custom-code.md)). Whatever else it
imports of `medl` or `nvflare` fails, with a list of these.
`python -m mmar_runner_clara_code.reference` writes this page; a test compares.

## Modules

| module | names |
|---|---|
"""


def page() -> str:
    """Return the page."""
    rows = [f"| `{module}` | {_names(names)} |" for module, names in sorted(TABLE.items())]
    return _HEAD + "\n".join([*rows, "", "## Names", "", *_table()]) + "\n"


def _table() -> list[str]:
    named = {name: source for names in TABLE.values() for name, source in names.items()}
    rows = ["| name | is | has |", "|---|---|---|"]
    for name, source in sorted(named.items()):
        made = getattr(importlib.import_module(f"{__package__}.api.{source}"), name)
        first = str(made.__doc__).splitlines()[0].rstrip(".")
        rows.append(f"| `{name}` | {first} | {_names(_members(made))} |")
    return rows


def _members(made: Any) -> list[str]:
    if isinstance(made, Named):
        return sorted(constants_of(made))
    if not isinstance(made, type):
        return []
    classes = [cls for cls in made.__mro__ if cls.__module__.startswith(str(__package__))]
    methods = {name for cls in classes for name, value in vars(cls).items() if callable(value)}
    return sorted(name for name in methods if not name.startswith("_"))


def _names(names: Any) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))


if __name__ == "__main__":
    sys.stdout.write(page())
