# SPDX-License-Identifier: Apache-2.0
"""Shares a fixed amount of memory among however many transfers are under way.

A transfer alone gets all it can use; with more of them each gets less, and never
nothing, so that slow clients do not keep fast ones waiting and memory does not grow
with clients.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from mmar_runner.wire.limits import CHUNK_BYTES, DOWNLOAD_BYTES, LEAST_CHUNK_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator


def download_window() -> SharedWindow:
    """Return the window that all downloads of a server share, whatever is downloaded."""
    return SharedWindow(DOWNLOAD_BYTES, least=LEAST_CHUNK_BYTES, most=CHUNK_BYTES)


class SharedWindow:
    """An equal share of a budget for every user.

    Args:
        budget: What all users together should take.
        least: What one user gets at least.
        most: What one user gets at most.
    """

    def __init__(self, budget: int, *, least: int, most: int) -> None:
        self._budget = budget
        self._least = least
        self._most = most
        self._users = 0

    @property
    def share(self) -> int:
        """What one user may take now, a multiple of ``least``."""
        share = self._budget // max(self._users, 1) // self._least * self._least
        return min(max(share, self._least), self._most)

    @contextmanager
    def user(self) -> Iterator[None]:
        """Count a user in for as long as it needs its share."""
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1
