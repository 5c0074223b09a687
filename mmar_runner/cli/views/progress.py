# SPDX-License-Identifier: Apache-2.0
"""Observers for people and for programs: a live table, plain lines, or JSON lines."""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal, Protocol, TextIO

from mmar_runner.cli.output import harmless_json
from mmar_runner.cli.views.wording import further_lines, sentence
from mmar_runner.interfaces.observer import NullObserver, Observer, Topic

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from mmar_runner.cli.output import Invocation
    from mmar_runner.interfaces.observer import Observation

Role = Literal["server", "client", "simulate"]

#: What the log says on standard error already, in the same words.
_LOGGED: Final = frozenset({Topic.MODEL_LOST})
#: Topics that come many times a round and say little in a log.
_CHATTY: Final = frozenset(
    {Topic.CLIENT_PROGRESS, Topic.CLIENT_STATE, Topic.MODEL_SENT, Topic.TRAINING}
)


class RunObserver(Observer, Protocol):
    """An observer that holds a screen or a stream while a run goes on: use it in ``with``."""

    def __enter__(self) -> Self:
        """Take the screen."""
        ...

    def __exit__(self, *_: object) -> None:
        """Give the screen back."""
        ...


def make_observer(
    role: Role,
    invocation: Invocation,
    *,
    mmar: str = "",
    quiet: bool = False,
    is_tty: bool | None = None,
    stream: TextIO | None = None,
) -> RunObserver:
    """Return the observer that suits whoever watches.

    Args:
        role: Whose observations come: a server's, a session's, or a simulation's.
        invocation: How the program was called; ``--log-format json`` gives one JSON
            object a line, whatever the terminal.
        mmar: The MMAR's name, for the table's header.
        quiet: Write nothing, as a command does whose result is JSON.
        is_tty: Whether a person watches a terminal; None asks the stream. Started with
            ``&`` it shares the terminal with others, whose tables would overwrite each other.
        stream: Where to write; None is standard output.
    """
    stream = sys.stdout if stream is None else stream
    if quiet:
        return SilentObserver()
    if invocation.log_format == "json":
        return JsonObserver(role, stream)
    if _has_terminal(stream) if is_tty is None else is_tty:
        # rich is imported only when there is somebody to look at it.
        from mmar_runner.cli.views.live import LiveObserver  # noqa: PLC0415

        return LiveObserver(role, mmar=mmar, stream=stream)
    return LineObserver(stream)


def _has_terminal(stream: TextIO) -> bool:
    """Return True if the stream is a terminal that this program has to itself."""
    if not stream.isatty():
        return False
    try:
        return os.tcgetpgrp(stream.fileno()) == os.getpgrp()
    except OSError:  # not the terminal that controls this session: nobody else writes there
        return True


class SilentObserver(NullObserver):
    """Sees everything, says nothing, holds nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is held."""


class _StreamObserver:
    """Shared by the observers that write lines as observations come."""

    def __init__(self, stream: TextIO, clock: Callable[[], datetime] | None = None) -> None:
        self._stream = stream
        self._clock = clock or _utc_now

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave nothing behind: every line was flushed."""

    def _write(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()


class LineObserver(_StreamObserver):
    """One plain line for each event that is worth one.

    Args:
        stream: Where to write.
        clock: Tells the time in front of each line; None is the wall clock.
    """

    def observe(self, observation: Observation) -> None:
        """Write one line, unless the observation is one of many alike."""
        if observation.topic not in _CHATTY | _LOGGED:
            said = f"{self._clock():%H:%M:%S} {sentence(observation)}"
            self._write("\n".join([said, *further_lines(observation)]))


class JsonObserver(_StreamObserver):
    """One JSON object a line: time, role, topic, the observation's data, and a sentence."""

    def __init__(
        self, role: Role, stream: TextIO, clock: Callable[[], datetime] | None = None
    ) -> None:
        super().__init__(stream, clock)
        self._role = role

    def observe(self, observation: Observation) -> None:
        """Write one observation, chatty ones included."""
        entry = {
            "time": self._clock().isoformat(),
            "role": self._role,
            "topic": observation.topic.value,
            "message": sentence(observation),
            "data": dict(observation.data),
        }
        self._write(harmless_json(json.dumps(entry, ensure_ascii=False)))


def _utc_now() -> datetime:
    return datetime.now(tz=UTC)
