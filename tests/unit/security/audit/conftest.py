# SPDX-License-Identifier: Apache-2.0
"""Where an audit log lies, and its clock."""

from __future__ import annotations

import pytest

from tests.unit.security.audit.logs import Clock


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "logs" / "audit.jsonl"
