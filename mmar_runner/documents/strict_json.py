# SPDX-License-Identifier: Apache-2.0
"""JSON that a program wrote and a signature covers: one slip, and it is refused.

`json_reader` is for texts that people write; here nobody needs a position, and nothing
is read as it was probably meant.
"""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from mmar_runner.documents.schema_check import faults
from mmar_runner.documents.schema_store import load_schema
from mmar_runner.documents.words import pointer_text


def parse_strict(data: bytes, *, limit: int) -> Any:
    """Return the value of a JSON text.

    Args:
        data: The text, UTF-8 without a byte order mark.
        limit: The most bytes that are read.

    Raises:
        ValueError: It is larger, no JSON of RFC 8259, has a key twice, holds NaN or
            an infinity (1e999 is one), text that is no Unicode, or is nested too deeply. The
            message is a clause that goes on after the name of what was read.
    """
    if len(data) > limit:
        raise ValueError(f"is larger than {limit} bytes")
    try:
        text = data.decode()
        value = json.loads(
            text, object_pairs_hook=_once, parse_constant=_no_constant, parse_float=_finite
        )
        if "\\u" in text:  # half of a surrogate pair can only be written as an escape
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeError as error:
        raise ValueError(f"is not UTF-8: {error}") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON: {error}") from error
    except RecursionError as error:
        raise ValueError("is nested too deeply") from error
    return value


def parse_checked(data: bytes, schema: str, *, limit: int) -> Any:
    """Return the value of a JSON text that fits one of our schemas.

    Args:
        data: The text, UTF-8 without a byte order mark.
        schema: The schema's name.
        limit: The most bytes that are read.

    Raises:
        ValueError: As `parse_strict`, or the first way in which it does not fit.
    """
    value = parse_strict(data, limit=limit)
    try:
        found = faults(load_schema(schema), value)
    except RecursionError as error:  # judging goes deeper than reading
        raise ValueError("is nested too deeply") from error
    for fault in found:
        place = f"at {pointer_text(fault.path)}" if fault.path else "as a whole"
        raise ValueError(f"is not as it must be {place}: {fault.message}")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) == len(pairs):
        return value
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            raise ValueError(f"has the key {name[:100]!r} twice")
        seen.add(name)
    return value


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"holds {text[:40]}, which is larger than any number here")
    return number


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"holds {word}, which is no JSON")
