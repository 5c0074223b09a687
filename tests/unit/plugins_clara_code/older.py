# SPDX-License-Identifier: Apache-2.0
"""Classes of older code as blueprints, out of the sample MMAR or out of a text."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmar_runner.hooks import load_plugins
from mmar_runner.hooks.components import blueprint
from mmar_runner_clara_code import importing

if TYPE_CHECKING:
    from mmar_runner.hooks.registry import ComponentRegistry
    from mmar_runner.interfaces.catalog import Blueprint

SAMPLE = Path(__file__).resolve().parents[2] / "assets" / "mmars" / "clara_code"


def nothing_imported() -> None:
    """Take back what adapters let this process import: a child ends, and a filter has no end."""
    while importing._users:
        importing.forbid_import()


@cache
def catalog() -> ComponentRegistry:
    return load_plugins().registry


def sample(kind: str, path: str, **args: Any) -> Blueprint:
    """Return a class of the sample MMAR."""
    declared = {"path": path, "args": args}
    return blueprint(catalog(), kind, declared, custom_dir=SAMPLE / "custom")


def written(folder: Path, kind: str, source: str, **args: Any) -> Blueprint:
    """Return the class ``Own`` of a text."""
    custom = folder / "custom"
    custom.mkdir(parents=True, exist_ok=True)
    (custom / "own.py").write_text(source)
    declared = {"path": "own.Own", "args": args}
    return blueprint(catalog(), kind, declared, custom_dir=custom)
