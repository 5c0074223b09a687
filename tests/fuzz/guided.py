# SPDX-License-Identifier: Apache-2.0
"""Searches one target, guided by what it covers: ``python -m tests.fuzz.guided MODULE TARGET ...``.

What follows goes to libFuzzer. The process ends at the first finding, whose
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


def load(module: str, name: str) -> Target:
    """Import a family of targets so that branches are counted, and return one of them."""
    with atheris.instrument_imports(include=["mmar_runner", "mmar_runner_metrics", "yaml"]):
        family: tuple[Target, ...] = importlib.import_module(module).TARGETS
    return next(target for target in family if target.name == name)


def main(find: Callable[[str, str], Target] = load) -> None:
    """Search until libFuzzer's limits are reached, or something is found."""
    logging.disable()
    target = find(*sys.argv[1:3])
    atheris.Setup([sys.argv[0], *sys.argv[3:]], target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
