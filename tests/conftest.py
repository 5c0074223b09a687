# SPDX-License-Identifier: Apache-2.0
"""What tests of every room may ask for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from mmar_runner.testing.kits import Kits


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Hold what a test starts; it ends with the test, the last first."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture(scope="module")
def kits(tmp_path_factory: pytest.TempPathFactory) -> Kits:
    """The start-up kits of a project with two sites, for a module of tests."""
    # Most tests need no certificates.
    from mmar_runner.testing.kits import make_kits

    return make_kits(tmp_path_factory.mktemp("project"), clients=("site-1", "site-2"))
