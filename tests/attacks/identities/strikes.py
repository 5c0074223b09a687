# SPDX-License-Identifier: Apache-2.0
"""What a stranger does to the server, and what the server says of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from mmar_runner.errors import RefusedError
from mmar_runner.wire.credentials import TlsFiles

SECOND = timedelta(seconds=1)


def struck(arena: Any, tls: TlsFiles, play: Any = None, name: str = "site-1") -> RefusedError:
    """Return with what a stranger was refused, with nothing changed by it."""
    before = arena.evidence.state()
    with pytest.raises(RefusedError) as refused:
        arena.strike(play or (lambda a: a.register()), tls, name=name)
    assert arena.evidence.state() == before
    return refused.value


def welcomed(arena: Any, owner: str = "witness") -> None:
    """The honest control: the same call, with a kit that holds."""

    async def play(attacker: Any) -> None:
        async with attacker:
            await attacker.heartbeat()

    arena.strike(play, arena.project.tls(owner), name=owner)


async def refused(call: Any) -> str:
    with pytest.raises(RefusedError) as error:
        await call
    return str(error.value.reason)
