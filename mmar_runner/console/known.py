# SPDX-License-Identifier: Apache-2.0
"""Names that a console has heard of, so that Tab can complete them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

#: What was heard is asked for again after so many seconds, when it is needed.
_FRESH_SECONDS: Final = 10.0
#: Names of one kind that are kept: a server may tell any number.
_MOST: Final = 10_000


class KnownNames:
    """Clients and uploaded MMARs, as the server's answers named them.

    Args:
        clients: Who was there at login.
        clock: Seconds of a clock that does not run backwards.

    Attributes:
        clients: Names of clients, sorted.
        mmars: Names of uploaded MMARs, sorted.
    """

    def __init__(
        self, clients: Iterable[str] = (), *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self.clients: list[str] = _names(clients)
        self.mmars: list[str] = []
        self._heard = {"clients": clock()}

    def is_stale(self, kind: str) -> bool:
        """Return True if names should be asked for; this counts as asking.

        Args:
            kind: ``clients`` or ``mmars``.
        """
        now = self._clock()
        if now - self._heard.get(kind, now - 2 * _FRESH_SECONDS) < _FRESH_SECONDS:
            return False
        self._heard[kind] = now
        return True

    def hear_clients(self, clients: Iterable[str]) -> None:
        """Take over the clients that a server told at login."""
        self.clients, self._heard["clients"] = _names(clients), self._clock()

    def hear(self, value: Mapping[str, Any]) -> None:
        """Take names over from a command's result, if it holds any."""
        server = value.get("server")
        if isinstance(server, dict) and isinstance(server.get("clients"), list):
            self.hear_clients(_of(server["clients"]))
        if isinstance(value.get("mmars"), list):
            self.mmars, self._heard["mmars"] = _names(_of(value["mmars"])), self._clock()


def _of(entries: list[Any]) -> list[str]:
    return [str(one.get("name", "")) for one in entries[:_MOST] if isinstance(one, dict)]


def _names(names: Iterable[str]) -> list[str]:
    # What cannot be shown cannot be typed either.
    return sorted({name for name in list(names)[:_MOST] if name and name.isprintable()})
