# SPDX-License-Identifier: Apache-2.0
"""Moments of a run that have a name, and what a test makes happen there.

A failpoint is a place of the production code: a function, and whether the moment is
before or after it. The code itself knows of none of them. `install` wraps the functions
from outside, in the process of `program.py`, which only tests start.
"""

from __future__ import annotations

import errno
import functools
import importlib
import inspect
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Condition = Callable[..., bool]


@dataclass(frozen=True, slots=True)
class Failpoint:
    """One named moment.

    Attributes:
        name: ``side.thing.moment``; the side is server or client.
        where: ``module:attribute`` of the function, as its caller finds it.
        when: ``before`` or ``after`` the call.
        only: Whether a call, by its arguments, is meant; None for every call.
    """

    name: str
    where: str
    when: str
    only: Condition | None = None

    @property
    def side(self) -> str:
        """``server`` or ``client``."""
        return self.name.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Deed:
    """What happens at a failpoint.

    Attributes:
        point: The failpoint's name.
        action: ``kill``, ``stop`` (SIGSTOP), ``term``, or the name of an errno.
        passing: At which passing, counted from 1.
        times: At how many passings from there on; -1 for all.
    """

    point: str
    action: str
    passing: int = 1
    times: int = 1

    def is_due(self, passing: int) -> bool:
        """Whether it happens at this passing."""
        late = self.times >= 0 and passing >= self.passing + self.times
        return passing >= self.passing and not late


_SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP, "term": signal.SIGTERM}


class Passings:
    """Counts passings, writes each down, and does what is due.

    Args:
        deeds: What is to happen.
        log: Gets a line for each passing, ``name number action``, before the action.
    """

    def __init__(self, deeds: Iterable[Deed], log: Path) -> None:
        self._deeds: dict[str, list[Deed]] = {}
        for deed in deeds:
            self._deeds.setdefault(deed.point, []).append(deed)
        self._counted: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)

    def passed(self, name: str) -> None:
        """A failpoint is passed now.

        Raises:
            OSError: That is what happens here.
        """
        with self._lock:
            self._counted[name] += 1
            number = self._counted[name]
            due = [deed for deed in self._deeds.get(name, ()) if deed.is_due(number)]
            action = due[0].action if due else "-"
            os.write(self._log, f"{name} {number} {action}\n".encode())
        if due:
            _act(action)


def _act(action: str) -> None:
    if action in _SIGNALS:
        os.kill(os.getpid(), _SIGNALS[action])
        return
    code = getattr(errno, action)
    raise OSError(code, os.strerror(code))


def install(points: Iterable[Failpoint], passings: Passings) -> None:
    """Wrap the functions of failpoints, in this process.

    Raises:
        AttributeError: A function is not there any more: the table is out of date.
    """
    for point in points:
        module, _, path = point.where.partition(":")
        holder: Any = importlib.import_module(module)
        *parents, attribute = path.split(".")
        for parent in parents:
            holder = getattr(holder, parent)
        setattr(holder, attribute, _wrapped(getattr(holder, attribute), point, passings))


def override(constants: Mapping[str, Any]) -> None:
    """Give constants (``module:NAME``) other values before anybody has read them."""
    for where, value in constants.items():
        module, _, name = where.partition(":")
        holder = importlib.import_module(module)
        getattr(holder, name)  # it must be there
        setattr(holder, name, value)


def _wrapped(function: Any, point: Failpoint, passings: Passings) -> Any:
    before, only = point.when == "before", point.only

    def moment(is_before: bool, args: Any, kwargs: Any) -> None:
        if is_before == before and (only is None or only(*args, **kwargs)):
            passings.passed(point.name)

    if inspect.isasyncgenfunction(function):

        @functools.wraps(function)
        async def items(*args: Any, **kwargs: Any) -> Any:
            async for item in function(*args, **kwargs):
                moment(True, args, kwargs)
                yield item
                moment(False, args, kwargs)

        return items
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def awaited(*args: Any, **kwargs: Any) -> Any:
            moment(True, args, kwargs)
            result = await function(*args, **kwargs)
            moment(False, args, kwargs)
            return result

        return awaited

    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        moment(True, args, kwargs)
        result = function(*args, **kwargs)
        moment(False, args, kwargs)
        return result

    return called
