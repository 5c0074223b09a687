# SPDX-License-Identifier: Apache-2.0
"""The kits of a project, loaded and refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mmar_runner.security.identity import Role
from mmar_runner.security.kits.kit import load_kit

LEAD = "lead@example.org"
FOLDERS = {
    Role.SERVER: "localhost",
    Role.COMBINER: "east",
    Role.CLIENT: "site-1",
    Role.ADMIN: LEAD,
}


def load(folder, role=Role.CLIENT, **later):
    return load_kit(folder, role, now=datetime.now(UTC) + timedelta(**later))


def refused(error, folder, role=Role.CLIENT, **later):
    with pytest.raises(error) as caught:
        load(folder, role, **later)
    return caught.value
