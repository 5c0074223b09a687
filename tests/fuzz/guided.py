# SPDX-License-Identifier: Apache-2.0
"""Searches one target, guided by what it covers: ``python -m tests.fuzz.guided TARGET ...``.

What follows the target's name goes to libFuzzer. The process ends at the first finding, whose
input libFuzzer writes down, with exit code 77, 70 (too long) or 71 (too much memory).
"""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import atheris

if TYPE_CHECKING:
    from tests.fuzz.target import Target


def load(name: str) -> Target:
    """Import all of the program so that its branches are counted, and return a target."""
    with atheris.instrument_imports(include=["mmar_runner", "mmar_runner_metrics", "yaml"]):
        found: Target = importlib.import_module("tests.fuzz.catalog").TARGETS[name]
    return found


def main(find: Callable[[str], Target] = load) -> None:
    """Search until libFuzzer's limits are reached, or something is found."""
    logging.disable()
    target = find(sys.argv[1])
    atheris.Setup([sys.argv[0], *sys.argv[2:]], target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
