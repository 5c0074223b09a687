# SPDX-License-Identifier: Apache-2.0
"""Only a site itself decides whether its models leave and others' are measured on its data."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

from mmar_runner.client.cross_site import CrossSiteWalk


async def test_a_site_that_takes_no_part_does_nothing_though_its_server_asks(caplog: Any) -> None:
    nobody: Any = None  # is called, told or asked
    work: Any = SimpleNamespace(cross_validates=False)
    caplog.set_level(logging.WARNING)
    await CrossSiteWalk(nobody, nobody, work, nobody, nobody).walk()
    assert "this site takes no part" in caplog.text
