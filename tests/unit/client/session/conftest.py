# SPDX-License-Identifier: Apache-2.0
"""A session that is run to its end against a server that follows a script."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from mmar_runner.client.session import run_session


@pytest.fixture
def session(settings, plugins, recorder, trainers):
    """Run a session to its end."""

    async def run(*, stop=None, **changes):
        return await run_session(
            replace(settings, **changes),
            plugins,
            recorder,
            stop or asyncio.Event(),
            children=trainers,
        )

    return run
