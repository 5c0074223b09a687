# SPDX-License-Identifier: Apache-2.0
"""Replacing ``{VARIABLE}``: typed when it is the whole string, and never evaluated.

Weakest first: what the runner defines, the file's own top-level scalars,
environment.json, ``--set``. CLIENT_NAME is the runner's alone: nothing overrides it; what
is put in its other variables is a whole number, or is not taken.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, cast

from mmar_runner.documents.json_reader import read_json
from mmar_runner.documents.json_source import JsonSource
from mmar_runner.documents.words import did_you_mean
from mmar_runner.errors import UsageError
from mmar_runner.mmar.document import Document, TextPart
from mmar_runner.mmar.finding import Findings
from mmar_runner.mmar.handed_over import COMMENT
from mmar_runner.mmar.site_text import mmar_leaves

if TYPE_CHECKING:
    from mmar_runner.documents.json_source import JsonPath

#: Names that the runner defines for every client.
RUNNER_VARIABLES = ("CLIENT_NAME", "SITE_INDEX", "NUM_SITES")
#: Those of them that environment.json and ``--set`` may give.
NUMBERS = ("SITE_INDEX", "NUM_SITES")
#: The client whose view is checked when nobody in particular asks.
ANY_CLIENT = "site-1"

#: A variable in a text.
VARIABLE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_SITE = re.compile(r"site-([1-9][0-9]*)")
_EXPRESSION = re.compile(r"[#$](@|import\b|__)")
_DEFAULT_SITES = 2
#: Variables that one text may need, those within variables counted again each time.
_MOST_LOOKUPS: Final = 1000
#: Variables within each other.
_DEEPEST: Final = 50
#: Characters that variables may add to one file.
_MOST_CHARACTERS: Final = 8 * 1024 * 1024

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
            SITE_INDEX and NUM_SITES themselves, as whole numbers.
    """
    site = _SITE.fullmatch(name)
    return {
        "CLIENT_NAME": name,
        "SITE_INDEX": _whole(variables, "SITE_INDEX", default=int(site[1]) if site else 1),
        "NUM_SITES": _whole(variables, "NUM_SITES", "MIN_NUM_CLIENTS", default=_DEFAULT_SITES),
    }


def _whole(variables: Mapping[str, Any], *names: str, default: int) -> int:
    """Return the first of some variables that is a whole number, or the default."""
    for name in names:
        if is_whole(value := variables.get(name)):
            return cast("int", value)
    return default


def is_whole(value: object) -> bool:
    """Return True for what one of `NUMBERS` may be."""
    return isinstance(value, int) and not isinstance(value, bool)


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
    """Everything that may be substituted, and what was.

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

    def handed_over(self) -> dict[str, Any]:
        """Return `common` as components get it: the variables in it replaced.

        Comments are left out, and so is what the MMAR says of a place outside it, unless
        one of its files uses it.
        """
        return {name: value for name, (value, _) in self.with_parts().items()}

    def with_parts(self) -> dict[str, tuple[Any, tuple[TextPart, ...]]]:
        """Return what is handed over, and for each text what it was put together from."""
        apart = replace(self, used=set(), globals=set())
        substitution = _Substitution(apart, Document("", JsonSource(""), {}), Findings())
        common = {name: substitution.variable(name) for name in self.common()}
        return {name: both for name, both in common.items() if self._is_given(name, *both)}

    def _is_given(self, name: str, value: Any, parts: tuple[TextPart, ...]) -> bool:
        if name in self.settings or name in RUNNER_VARIABLES:
            return True
        if name.startswith(COMMENT) or mmar_leaves(name):
            return False
        return name in self.used or not isinstance(value, str) or not mmar_leaves(value, parts)

    def substitute(self, document: Document, findings: Findings, *, override: bool) -> None:
        """Replace every variable in a document.

        Args:
            document: Changed in place.
            findings: Gets what is undefined or circular.
            override: Give the file's own top-level scalars the value that
                environment.json or ``--set`` has for them.
        """
        _Substitution(self, document, findings).run(override=override)


class _TooLong(Exception):  # noqa: N818 - it ends one text, it is no error of ours
    """Variables make more of a text than anybody wants."""


class _Substitution:
    """One pass over one document."""

    def __init__(self, variables: Variables, document: Document, findings: Findings) -> None:
        self._variables = variables
        self._document = document
        self._findings = findings
        own = {k: v for k, v in document.value.items() if is_scalar(v)}
        variables.globals.update(own)
        self._common = variables.common()
        self._scope = {**own, **self._common}
        spoiled = {k for k in own if document.in_doubt((k,))} | variables.spoiled
        self._spoiled = spoiled - self._common.keys()
        self._lookups = 0
        self._characters = 0

    def run(self, *, override: bool) -> None:
        """Replace everything; see `Variables.substitute`."""
        value = self._walk(self._document.value, (), quiet=False)
        if override:
            for key in value.keys() & self._common.keys():
                if is_scalar(self._document.value[key]):
                    value[key], self._document.site_parts[(key,)] = self.variable(key)
                    self._variables.used.add(key)
        self._document.value = value

    def variable(self, name: str) -> tuple[Any, tuple[TextPart, ...]]:
        """Return a variable's value, those in it replaced, and what it was put together from."""
        value, path = self._common[name], (name,)
        if isinstance(value, str) and "{" in value:
            value = self._whole_text(value, path, quiet=True)
        if path not in self._document.source.doubtful and self._of_site(name):
            return value, (TextPart(_as_text(value), of_site=True),)
        return value, self._document.site_parts.get(path, ())

    def _walk(self, value: Any, path: JsonPath, *, quiet: bool) -> Any:
        if isinstance(value, str):
            if "{" not in value:
                return self._plain(value, path)
            return self._whole_text(value, path, quiet=quiet)
        if isinstance(value, list):
            return [self._walk(v, (*path, i), quiet=quiet) for i, v in enumerate(value)]
        if isinstance(value, dict):
            switch = value.get("disabled")
            if isinstance(switch, str):
                switch = self._whole_text(switch, (*path, "disabled"), quiet=True)
            inner = quiet or switch is True
            return {
                k: self._walk(v, (*path, k), quiet=inner and k != "disabled")
                for k, v in value.items()
            }
        return value

    def _plain(self, text: str, path: JsonPath) -> str:
        if _EXPRESSION.match(text):
            message = f"{text!r} looks like an expression; it is taken as plain text."
            self._findings.at(self._document, path, "MMAR304", message)
        return text

    def _whole_text(self, text: str, path: JsonPath, *, quiet: bool) -> Any:
        """Replace all variables of one text, and note what the site gave of it."""
        self._lookups = 0
        try:
            value = self._text(text, path, quiet=quiet)
        except _TooLong:
            message = "Variables make the text too long, or stand too often in each other."
            self._findings.at(self._document, path, "MMAR403", message)
            self._document.source.doubtful.add(path)
            return ""
        doubted = path in self._document.source.doubtful
        if self._variables.settings and isinstance(value, str) and not doubted:
            parts = tuple(self._parts(text))
            if any(part.of_site for part in parts):
                self._document.site_parts[path] = parts
        return value

    def _parts(self, text: str) -> Iterator[TextPart]:
        """Yield the parts of a text of which is known that it replaces without an end."""
        end = 0
        for match in VARIABLE.finditer(text):
            yield TextPart(text[end : match.start()])
            end = match.end()
            value = self._scope.get(match[1])
            if match[1] not in self._scope or not is_scalar(value):
                yield TextPart(match[0])
            elif self._of_site(match[1]):
                yield TextPart("".join(p.text for p in self._parts(_as_text(value))), of_site=True)
            else:
                yield from self._parts(_as_text(value))
        yield TextPart(text[end:])

    def _of_site(self, name: str) -> bool:
        """Return True if a setting gives a variable, and the MMAR none of what is in it."""
        if name not in self._variables.settings or name in RUNNER_VARIABLES:
            return False
        inner = VARIABLE.findall(_as_text(self._scope[name]))
        return all(one in RUNNER_VARIABLES or self._of_site(one) for one in inner)

    def _text(self, text: str, path: JsonPath, *, quiet: bool, within: tuple[str, ...] = ()) -> Any:
        whole = VARIABLE.fullmatch(text)
        if whole:
            self._document.substituted.setdefault(path, whole[1])
            return self._lookup(whole[1], path, quiet=quiet, within=within)
        return VARIABLE.sub(
            lambda m: _as_text(self._lookup(m[1], path, quiet=quiet, within=within)), text
        )

    def _lookup(self, name: str, path: JsonPath, *, quiet: bool, within: tuple[str, ...]) -> Any:
        self._lookups += 1
        if name in within:
            if not quiet:
                circle = " -> ".join((*within[within.index(name) :], name))
                message = f"Variables refer to each other in a circle: {circle}."
                self._findings.at(self._document, path, "MMAR302", message)
            self._document.source.doubtful.add(path)
            return f"{{{name}}}"
        if name in self._spoiled:
            self._document.source.doubtful.add(path)
            return f"{{{name}}}"
        if name not in self._scope or not is_scalar(self._scope[name]):
            self._undefined(name, path, quiet=quiet)
            return f"{{{name}}}"
        self._variables.used.add(name)
        value = self._scope[name]
        self._characters += len(value) if isinstance(value, str) else 0
        if (
            self._lookups > _MOST_LOOKUPS
            or self._characters > _MOST_CHARACTERS
            or len(within) > _DEEPEST
        ):
            raise _TooLong
        if isinstance(value, str) and "{" in value:
            return self._text(value, path, quiet=quiet, within=(*within, name))
        return value

    def _undefined(self, name: str, path: JsonPath, *, quiet: bool) -> None:
        self._document.unresolved.add(path)
        if quiet:
            return
        hint = did_you_mean(name, self._scope)
        hint = hint or f"Define it in config/environment.json, or give --set {name}=VALUE."
        message = f"Nothing defines the variable {{{name}}}."
        self._findings.at(self._document, path, "MMAR301", message, hint=hint)


def _as_text(value: Any) -> str:
    """Return a scalar as it stands inside a longer string."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "null" if value is None else str(value)
