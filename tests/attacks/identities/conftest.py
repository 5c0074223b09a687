# SPDX-License-Identifier: Apache-2.0
"""A server with short leases and a kit of its own, for those who are not who they say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def arena(
    request: pytest.FixtureRequest, attacked_server: Any, restless_mmar: Path, project: Any
) -> Iterator[Any]:
    """Leases of three seconds, and a kit whose revocations are this arena's own."""
    name = request.path.stem
    kit = project.server_kit(f"{name}-server")
    with attacked_server(name, restless_mmar, kit=kit) as arena:
        arena.kit = kit
        yield arena
