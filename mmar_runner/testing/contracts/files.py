# SPDX-License-Identifier: Apache-2.0
"""Looking at what a component left on disk."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from mmar_runner.storage.safetensors_format import ModelSchema, read_header


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


def assert_metrics(metrics: Mapping[str, float]) -> None:
    """Assert that metrics are numbers by name."""
    for name, value in metrics.items():
        assert isinstance(name, str)
        assert name.isprintable(), f"{name!r} is no name for a metric"
        assert not isinstance(value, bool), f"metric {name} is {value!r}"
        assert isinstance(value, int | float), f"metric {name} is {value!r}, not a number"
        assert not math.isnan(value), f"metric {name} is not a number"
