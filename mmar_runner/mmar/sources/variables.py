# SPDX-License-Identifier: Apache-2.0
"""The variables of an MMAR: what defines them, and which definition is in force.

Weakest first: what the runner defines, the file's own top-level scalars,
environment.json, ``--set``. CLIENT_NAME is the runner's alone: nothing overrides it; what
is put in its other variables is a whole number, or is not taken.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from mmar_runner.documents.json_reader import read_json
from mmar_runner.errors import UsageError
from mmar_runner.mmar.document import VARIABLE

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping

#: Names that the runner defines for every client.
RUNNER_VARIABLES = ("CLIENT_NAME", "SITE_INDEX", "NUM_SITES")
#: Those of them that environment.json and ``--set`` may give.
NUMBERS = ("SITE_INDEX", "NUM_SITES")
#: What stands for NUM_SITES where nothing defines that.
LEAST_CLIENTS = "MIN_NUM_CLIENTS"
#: The client whose view is checked when nobody in particular asks.
ANY_CLIENT = "site-1"

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_SITE = re.compile(r"site-([1-9][0-9]*)")
_DEFAULT_SITES = 2
Scalar = str | int | float | bool | None


def parse_setting(text: str) -> tuple[str, Scalar]:
    """Return key and value of a ``--set KEY=VALUE``.

    A value that is a JSON scalar is that scalar; anything else is text.

    Raises:
        UsageError: There is no ``=``, or the key is no name.
    """
    key, equals, value = text.partition("=")
    if not equals or not _NAME.fullmatch(key):
        raise UsageError(f"--set takes KEY=VALUE, not {text!r}.", hint="--set NUM_ROUNDS=3")
    source = read_json(value)
    if source.problems or isinstance(source.value, dict | list):
        return key, value
    scalar: Scalar = source.value
    return key, scalar


def client_variables(name: str, variables: Mapping[str, Any]) -> dict[str, Scalar]:
    """Return what the runner defines for a client.

    Args:
        name: The client's name; ``site-K`` has the index K, any other name 1.
        variables: What environment.json and ``--set`` define; they may give
            SITE_INDEX and NUM_SITES themselves, as whole numbers. A MIN_NUM_CLIENTS that
            is no number of clients, which is said of it, stands for no NUM_SITES.
    """
    site = _SITE.fullmatch(name)
    return {
        "CLIENT_NAME": name,
        "SITE_INDEX": _whole(variables, "SITE_INDEX", default=int(site[1]) if site else 1),
        "NUM_SITES": _whole(variables, "NUM_SITES", default=_least(variables)),
    }


def _least(variables: Mapping[str, Any]) -> int:
    """Return how many sites there are if nothing but the least number of clients says it."""
    least = _whole(variables, LEAST_CLIENTS, default=_DEFAULT_SITES)
    return least if least > 0 else _DEFAULT_SITES


def _whole(variables: Mapping[str, Any], name: str, *, default: int) -> int:
    """Return a variable that is a whole number, or the default."""
    value = variables.get(name)
    return cast("int", value) if is_whole(value) else default


def is_whole(value: object) -> bool:
    """Return True for what one of `NUMBERS` may be."""
    return isinstance(value, int) and not isinstance(value, bool)


def no_name(text: str) -> bool:
    """Return True for what cannot be the name of a variable."""
    return VARIABLE.fullmatch(f"{{{text}}}") is None


def misnamed(text: str) -> str:
    """Return the hint for a variable that environment.json defines by what is no name."""
    meant = re.sub(r"\W+", "_", text, flags=re.ASCII)
    return f"config/environment.json defines {text!r}: write {meant!r} there."


def is_scalar(value: object) -> bool:
    """Return True for what a variable may hold."""
    return value is None or isinstance(value, str | int | float | bool)


def circles(variables: Mapping[str, Any], except_for: Container[str]) -> list[list[str]]:
    """Return the circles in which variables refer to each other, each once.

    Args:
        variables: Values by name, in the order of their file.
        except_for: Names that something else gives a value.
    """
    found: list[list[str]] = []
    settled: set[str] = set()
    for start in variables:
        trail = {start: _referred(variables, start, except_for, settled)}
        while trail:
            name, names = next(reversed(trail.items()))
            following = next(names, None)
            if following is None:
                settled.add(name)
                del trail[name]
            elif following in trail:
                circle = list(trail)[list(trail).index(following) :]
                if not any(set(circle) & set(known) for known in found):
                    found.append(circle)
            else:
                trail[following] = _referred(variables, following, except_for, settled)
    return found


def _referred(
    variables: Mapping[str, Any], name: str, except_for: Container[str], settled: set[str]
) -> Iterator[str]:
    """Yield the variables that the value of one refers to, without those that are settled."""
    value = variables.get(name)
    if name in except_for or name in settled or not isinstance(value, str) or "{" not in value:
        return
    for other in dict.fromkeys(VARIABLE.findall(value)):
        if other in variables and other not in settled:
            yield other


@dataclass(slots=True)
class Variables:
    """Everything that may be substituted, and what was; `substitution` does it.

    Attributes:
        environment: The scalars of environment.json.
        settings: The ``--set`` values.
        client: The client whose view this is.
        used: The names that were substituted.
        globals: Names of all top-level scalars of substituted files.
        spoiled: Names to which environment.json gives something that is no value; as
            that was said there, nothing is said where they are used.
    """

    environment: Mapping[str, Any]
    settings: Mapping[str, Any]
    client: str = ANY_CLIENT
    used: set[str] = field(default_factory=set)
    globals: set[str] = field(default_factory=set)
    spoiled: frozenset[str] = frozenset()

    def common(self) -> dict[str, Any]:
        """Return what is in force in every file, strongest value."""
        strong = {**self.environment, **self.settings}
        return {**strong, **client_variables(self.client, strong)}

    def guesses_index(self) -> bool:
        """Return True if SITE_INDEX is used, and neither the client's name nor anybody gives it."""
        given = is_whole({**self.environment, **self.settings}.get("SITE_INDEX"))
        return "SITE_INDEX" in self.used and not given and _SITE.fullmatch(self.client) is None
