# SPDX-License-Identifier: Apache-2.0
"""What tests of every room may ask for."""

from __future__ import annotations

import gc
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from mmar_runner.testing.kits import Kits


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Collect no garbage while a failure is shown: what is collected may show one, too.

    Python before 3.11.8 takes what is parsed within a parse for an error of its own
    (gh-106905), which would end the whole session.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


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
