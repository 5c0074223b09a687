# SPDX-License-Identifier: Apache-2.0
"""What a child writes to its parent, checked as a stranger's words: user code lives in there.

A line is a step, a question or a reply, of the one form that `parent_line` writes. Whatever
else comes says that nothing more of this child is to be believed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from mmar_runner.children.messages import decode
from mmar_runner.errors import ChildDiedError, TaskFailedError

#: The most steps that can be counted: they are sent on as 64-bit numbers.
MOST_STEPS: Final = (1 << 63) - 1
_REASON: Final = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
_FIELDS: Final = frozenset({"message", "hint", "reason", "details"})


@dataclass(frozen=True, slots=True)
class Step:
    """How far a child is with a request.

    Attributes:
        id: The request's number.
        done: Steps that are done.
        total: Steps in all; 0 if that is not known.
    """

    id: int
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Ask:
    """Something that a child must be told before it can go on with a request.

    Attributes:
        id: The request's number.
        question: What it asks, a JSON object.
    """

    id: int
    question: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reply:
    """The end of a request.

    Attributes:
        id: The request's number.
        result: What it answers, a JSON object; empty if it failed.
        error: Why it failed, or None.
    """

    id: int
    result: dict[str, Any]
    error: TaskFailedError | None = None


def read_answer(line: bytes) -> Step | Ask | Reply:
    """Return what a line of a child says.

    Raises:
        ChildDiedError: It is neither a step, a question nor a reply.
    """
    message = decode(line)
    match message:
        case {"id": int(number), "step": [int(done), int(total)]} if (
            0 <= done <= MOST_STEPS and 0 <= total <= MOST_STEPS
        ):
            return Step(number, done, total)
        case {"id": int(number), "ask": dict(question)}:
            return Ask(number, question)
        case {"id": int(number), "error": dict(fields)} if fields.keys() == _FIELDS:
            return Reply(number, {}, _error(fields, line))
        case {"id": int(number), "result": dict(result)}:
            return Reply(number, result)
    raise no_answer(line)


def no_answer(line: bytes) -> ChildDiedError:
    """Return the error for a line that a child never should write."""
    text = f"the child's control socket carried {line[:80]!r}, which is no answer; it was ended"
    return ChildDiedError(text)


def _error(fields: Mapping[str, Any], line: bytes) -> TaskFailedError:
    message, hint, reason, details = (
        fields[name] for name in ("message", "hint", "reason", "details")
    )
    texts = isinstance(message, str) and isinstance(details, str)
    if not (texts and (hint is None or isinstance(hint, str)) and _is_reason(reason)):
        raise no_answer(line)
    return TaskFailedError(
        _whole(message),
        hint=None if hint is None else _whole(hint),
        reason=reason,
        details=_whole(details),
    )


def _is_reason(value: object) -> bool:
    return isinstance(value, str) and _REASON.fullmatch(value) is not None


def _whole(text: str) -> str:
    """Return a text that can be sent on: of half a surrogate pair a question mark is left."""
    return text.encode(errors="replace").decode()
