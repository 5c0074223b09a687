# SPDX-License-Identifier: Apache-2.0
"""An event loop for which no time passes: where it would wait, its clock jumps.

For tests of what happens after seconds or minutes, in one thread and without sockets:
their times are exact, and they take none.
"""

from __future__ import annotations

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from typing import Any

#: How long the loop waits for a thread if nothing else is to come, in seconds.
_PATIENCE = 10.0


class _Jumping(selectors.DefaultSelector):
    """Looks what is there, and lets the time jump if that is nothing."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            found = super().select(_PATIENCE)
            assert found, "nothing is left that could ever happen"
            return found
        found = super().select(0)
        if not found:
            self.now += max(0.0, timeout)
        return found


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock begins at nought and jumps."""

    def __init__(self) -> None:
        self._clock = _Jumping()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now


def in_jumping_time(
    test: Callable[..., Coroutine[Any, Any, None]],
) -> Callable[..., None]:
    """Run a test in a `JumpingLoop`."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        with asyncio.Runner(loop_factory=JumpingLoop) as runner:
            runner.run(test(*args, **kwargs))

    return run
