# SPDX-License-Identifier: Apache-2.0
"""Regular expressions: those of schemas, and those that a document holds."""

from __future__ import annotations

import re
from functools import cache
from typing import Final

#: An escape, a set of characters, or the end.
_TOKEN: Final = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\$", re.DOTALL)


def found_in(pattern: str, text: str) -> bool:
    """Return True if a schema's pattern is found in a text.

    Where JSON Schema says ``$`` it means the end, and Python also the place before a line
    break at the end.
    """
    return _of_schema(pattern).search(text) is not None


@cache
def _of_schema(pattern: str) -> re.Pattern[str]:
    return re.compile(_TOKEN.sub(lambda found: r"\Z" if found[0] == "$" else found[0], pattern))


def require_expression(text: str) -> None:
    """Check that a text is a regular expression.

    Raises:
        ValueError: It is none, with the cause.
    """
    try:
        re.compile(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except (re.error, OverflowError) as error:
        raise ValueError(str(error)) from error
