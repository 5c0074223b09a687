# SPDX-License-Identifier: Apache-2.0
"""What tests of every room may ask for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Hold what a test starts; it ends with the test, the last first."""
    with ExitStack() as stack:
        yield stack
