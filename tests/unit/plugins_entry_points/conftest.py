# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from mmar_runner_entry_points.running import Surroundings


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """An MMAR's folder, as far as commands see of it."""
    folder = tmp_path / "package"
    folder.mkdir()
    return folder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A global model of two tensors."""
    file = tmp_path / "model.safetensors"
    save_file({"a": np.ones((2, 3), np.float32), "b": np.zeros(4, np.float64)}, file)
    return file


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def place(package: Path, log: Path) -> Iterator[Surroundings]:
    """Where commands run whose output goes to `log`."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    yield Surroundings(package, {"PATH": os.environ["PATH"]}, 1 << 16, descriptor)
    os.close(descriptor)
