# SPDX-License-Identifier: Apache-2.0
"""Looking at what a component left on disk."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmar_runner.storage.safetensors_format import ModelSchema, read_header
from mmar_runner.testing.contracts.laws import hold


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder: relative path to bytes."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def schema_of(model: Path) -> ModelSchema:
    """Return the tensors of a safetensors file; raises if it is not one."""
    return ModelSchema.from_header(read_header(model))


def tensors_of(model: Path) -> list[str]:
    """Return the tensors of a safetensors file in words, sorted: name, type and shape."""
    return sorted(f"{name}: {kind} {list(shape)}" for name, kind, shape in schema_of(model))


def assert_metrics(metrics: Mapping[Any, Any]) -> None:
    """Assert that metrics are numbers by name."""
    for name, value in metrics.items():
        named = isinstance(name, str) and name.isprintable()
        hold("A metric has a name", named, expected="printable text", got=name)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        law = f"The metric {name} is a number"
        hold(law, number, expected="an int or a float", got=value)
        hold(law, not math.isnan(value), expected="a number", got=value)
