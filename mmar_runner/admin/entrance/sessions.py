# SPDX-License-Identifier: Apache-2.0
"""Sessions of administrators: opened by a certificate, over when nobody uses them."""

from __future__ import annotations

import hmac
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mmar_runner.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mmar_runner.wire.gate import Peer

#: How long a session lives that nobody uses, in seconds, unless the server says otherwise.
IDLE_SECONDS: Final = 3600.0
#: Sessions that one certificate may have at once, and all together.
_OF_ONE: Final = 16
_MOST: Final = 1024


@dataclass(slots=True)
class Session:
    """One session.

    Attributes:
        user: Whose it is: an e-mail address.
        fingerprint: Of the certificate that opened it.
        used: When it was used last, on the monotonic clock.
    """

    user: str
    fingerprint: str
    used: float


class Sessions:
    """The sessions that are open. Used from the event loop.

    Args:
        idle_seconds: How long one lives that nobody uses.
        clock: Seconds of a clock that does not run backwards.
    """

    def __init__(
        self,
        idle_seconds: float = IDLE_SECONDS,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.idle_seconds = idle_seconds
        self._clock = clock
        self._sessions: dict[str, Session] = {}

    def open(self, user: str, peer: Peer) -> str:
        """Open a session and return its token.

        Raises:
            RefusedError: TOO_MANY_SESSIONS.
        """
        self._sweep()
        own = [s for s in self._sessions.values() if s.fingerprint == peer.fingerprint]
        if len(own) >= _OF_ONE or len(self._sessions) >= _MOST:
            msg = f"{user} has {len(own)} sessions open already"
            hint = "leave one of them with `bye`; what nobody uses ends by itself"
            raise RefusedError(msg, reason="TOO_MANY_SESSIONS", hint=hint)
        token = secrets.token_hex(32)
        self._sessions[token] = Session(user, peer.fingerprint, self._clock())
        return token

    def require(self, token: str, peer: Peer) -> Session:
        """Return the session of a token, which is used just now.

        Raises:
            RefusedError: SESSION_OVER, there is none; TOKEN_NOT_BOUND, it is another
                certificate's.
        """
        self._sweep()
        session = self._sessions.get(token)
        if session is None:
            msg = f"the session is over, or was not used for {self.idle_seconds:g} s"
            raise RefusedError(msg, reason="SESSION_OVER", hint="log in again")
        if not hmac.compare_digest(session.fingerprint, peer.fingerprint):
            msg = "the session was opened by another certificate"
            raise RefusedError(msg, reason="TOKEN_NOT_BOUND", hint="log in again")
        session.used = self._clock()
        return session

    def close(self, token: str, peer: Peer) -> None:
        """End a session."""
        self.require(token, peer)
        del self._sessions[token]

    def _sweep(self) -> None:
        due = self._clock() - self.idle_seconds
        self._sessions = {key: s for key, s in self._sessions.items() if s.used > due}
