# SPDX-License-Identifier: Apache-2.0
"""Which classes a policy's prefixes allow: by the path as written, and by what it really is."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def spelling_allowed(dotted: str, prefixes: Iterable[str]) -> bool:
    """Return True if a class path may be named.

    Args:
        dotted: The path as it is written.
        prefixes: One that ends with a dot allows everything below it, any other one
            itself alone.
    """
    return any(
        dotted.startswith(prefix) if prefix.endswith(".") else dotted == prefix
        for prefix in prefixes
    )


def identity_allowed(module: str, qualname: str, prefixes: Iterable[str]) -> bool:
    """Return True if a class may be built, by the place where it is really defined.

    A package may define a class in a module of its own and offer it further up, so a
    whole class path allows a class of that name in any module below its package.

    Args:
        module: The class's own ``__module__``.
        qualname: Its own ``__qualname__``.
        prefixes: As above.
    """
    for prefix in prefixes:
        if prefix.endswith("."):
            if f"{module}.{qualname}".startswith(prefix):
                return True
            continue
        package, _, name = prefix.rpartition(".")
        if qualname == name and f"{module}.".startswith(f"{package}."):
            return True
    return False
