# SPDX-License-Identifier: Apache-2.0
"""Adapters that are built in a test's own process: what they let it import ends with the test."""

from __future__ import annotations

import pytest

from tests.unit.plugins_clara_code.older import nothing_imported


@pytest.fixture(autouse=True)
def nothing_is_left():
    yield
    nothing_imported()
