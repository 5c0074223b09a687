# SPDX-License-Identifier: Apache-2.0
"""An audit log of the test's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mmar_runner.security.audit.log import AuditLog


@pytest.fixture
def audit(tmp_path: Path) -> Any:
    with AuditLog(tmp_path / "audit.jsonl") as log:
        yield log
