# SPDX-License-Identifier: Apache-2.0
"""The words on the control socket: one JSON object a line.

A request is ``{"id", "method", "params"}``; its reply is ``{"id", "result"}`` or
``{"id", "error": {"message", "hint", "reason", "details"}}``. Before its reply a child may
say any number of times how far it is: ``{"id", "step": [done, total]}``. Numbers are finite.
A child that has to ask something before it can reply says ``{"id", "ask": {...}}``, and is told
``{"answer": {"result"}}`` or ``{"answer": {"error": {"message", "reason"}}}``: one at a time.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from mmar_runner.errors import ChildDiedError

#: The longest line, in bytes: a specification carries whole training configs.
LINE_LIMIT: Final = 64 * 1024 * 1024


def encode(message: Mapping[str, Any]) -> bytes:
    """Return a message as one line.

    Raises:
        ValueError: A number is NaN or infinite.
        TypeError: A value is not JSON.
    """
    text = json.dumps(message, allow_nan=False, separators=(",", ":"))
    return text.encode() + b"\n"


def decode(line: bytes) -> dict[str, Any]:
    """Return the message in one line.

    Raises:
        ChildDiedError: The line is not a message; the peer is out of step.
    """
    try:
        message = json.loads(line)
    except (ValueError, RecursionError) as error:
        text = f"the child's control socket carried {line[:80]!r}, which is not a message"
        raise ChildDiedError(text) from error
    if not isinstance(message, dict):
        text = f"the child's control socket carried {line[:80]!r}, which is not a message"
        raise ChildDiedError(text)
    return message


def is_name(text: str) -> bool:
    """Return True for what can be written as UTF-8: half of a surrogate pair cannot."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)
