# SPDX-License-Identifier: Apache-2.0
"""Since when nobody answers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from mmar_runner.errors import UnreachableError
from mmar_runner.interfaces.observer import Observation, Topic

if TYPE_CHECKING:
    from mmar_runner.interfaces.observer import Observer


def mend(what: str = "server") -> str:
    """Return what whoever watches can do about somebody who was never reached.

    Args:
        what: Who it is; also the name of the option that says where.
    """
    return (
        f"is the {what} running? Another address: --{what} HOST:PORT; to give up after a while: "
        "--connect-timeout SECONDS"
    )


#: The same of a combiner that a controller has named.
MEND_BELOW: Final = (
    "a combiner answers once enough clients are assigned for the first round; if it has died, the "
    "controller names another"
)
#: How often an outage that lasts is told at least, in seconds.
LONGEST_SILENCE: Final = 60.0


class Outage:
    """Since when nobody answers, told to the observer ever more seldom.

    Args:
        target: Who should, ``host:port``.
        observer: Is told.
        hint: What can be done, told once; empty for that of a server.
    """

    def __init__(self, target: str, observer: Observer, hint: str = "") -> None:
        self._target = target
        self._hint = hint or mend()
        self._observer = observer
        self._since: float | None = None
        self._told = float("-inf")
        self._message = f"no answer from {target}"
        self._hinted = False

    @property
    def is_due(self) -> bool:
        """Whether a failure that is seen now would be told."""
        now = time.monotonic()
        lasted = 0.0 if self._since is None else now - self._since
        return now - self._told >= min(LONGEST_SILENCE, max(1.0, lasted / 2))

    def begin(self, error: UnreachableError) -> None:
        """See a failure."""
        now = time.monotonic()
        due = self.is_due
        self._since = now if self._since is None else self._since
        self._message = error.message
        if not due:
            return
        self._told = now
        facts: dict[str, str | float] = {
            "target": self._target,
            "since_seconds": round(now - self._since, 3),
            "message": error.message,
        }
        if not self._hinted:
            facts["hint"] = error.hint or self._hint
            self._hinted = True
        self._observer.observe(Observation(Topic.UNREACHABLE, facts))

    def end(self) -> None:
        """See that somebody answers."""
        since, self._since = self._since, None
        if since is not None and self._told > float("-inf"):
            facts = {"target": self._target, "after_seconds": round(time.monotonic() - since, 3)}
            self._observer.observe(Observation(Topic.ANSWERS, facts))
        self._told = float("-inf")
        self._hinted = True  # the address is right

    def error(self) -> UnreachableError:
        """Return the error of a caller that gives up."""
        seconds = 0.0 if self._since is None else time.monotonic() - self._since
        return UnreachableError(f"{self._message}, for {seconds:.1f} s", hint=self._hint)
