# SPDX-License-Identifier: Apache-2.0
"""Work in a thread that is always waited for, even by a task that is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")


async def in_thread(call: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Run a call in a worker thread and return its result.

    A thread cannot be cancelled. If the awaiting task is, it ends only after the call
    has ended, so that whoever cleans up may close the files the call was using.
    """
    running = asyncio.get_running_loop().run_in_executor(None, partial(call, *args, **kwargs))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait({running})
        raise
