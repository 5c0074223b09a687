# SPDX-License-Identifier: Apache-2.0
"""Replacing ``{VARIABLE}``: typed when it is the whole string, and never evaluated."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.documents.json_source import JsonSource
from mmar_runner.documents.words import did_you_mean
from mmar_runner.mmar.document import VARIABLE, Document, TextPart
from mmar_runner.mmar.finding import Findings
from mmar_runner.mmar.sources.keys import COMMENT
from mmar_runner.mmar.sources.site_text import mmar_leaves
from mmar_runner.mmar.sources.variables import RUNNER_VARIABLES, is_scalar, misnamed, no_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mmar_runner.documents.json_source import JsonPath
    from mmar_runner.mmar.sources.variables import Variables

_EXPRESSION = re.compile(r"[#$](@|import\b|__)")
#: Variables that one text may need, those within variables counted again each time.
_MOST_LOOKUPS: Final = 1000
#: Variables within each other.
_DEEPEST: Final = 50
#: Undefined names for which a similar one is looked for.
_MOST_MEANT: Final = 100
#: Characters that variables may add to one file.
_MOST_CHARACTERS: Final = 8 * 1024 * 1024


def handed_over(variables: Variables) -> dict[str, Any]:
    """Return the `common` variables as components get them: those in them replaced.

    Comments are left out, and so is what the MMAR says of a place outside it, unless
    one of its files uses it.
    """
    return {name: value for name, (value, _) in with_parts(variables).items()}


def with_parts(variables: Variables) -> dict[str, tuple[Any, tuple[TextPart, ...]]]:
    """Return what is handed over, and for each text what it was put together from."""
    apart = replace(variables, used=set(), globals=set())
    substitution = _Substitution(apart, Document("", JsonSource(""), {}), Findings())
    common = {name: substitution.variable(name) for name in variables.common()}
    return {name: both for name, both in common.items() if _is_given(variables, name, *both)}


def _is_given(variables: Variables, name: str, value: Any, parts: tuple[TextPart, ...]) -> bool:
    if name in variables.settings or name in RUNNER_VARIABLES:
        return True
    if name.startswith(COMMENT) or mmar_leaves(name):
        return False
    return name in variables.used or not isinstance(value, str) or not mmar_leaves(value, parts)


def substitute(
    variables: Variables, document: Document, findings: Findings, *, override: bool
) -> None:
    """Replace every variable in a document.

    Args:
        variables: What may be replaced; it learns what was.
        document: Changed in place.
        findings: Gets what is undefined or circular.
        override: Give the file's own top-level scalars the value that
            environment.json or ``--set`` has for them.
    """
    _Substitution(variables, document, findings).run(override=override)


class _TooLong(Exception):  # noqa: N818 - it ends one text, it is no error of ours
    """Variables make more of a text than anybody wants; the message says which limit it is."""


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
        document.own = frozenset(own.keys() - self._common.keys())
        self._lookups = 0
        self._characters = 0
        self._meant: dict[str, str | None] = {}
        self._misnamed: dict[str, str] | None = None

    def run(self, *, override: bool) -> None:
        """Replace everything; see `substitute`."""
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
                k: self._walk(v, (*path, k), quiet=self._is_quiet(path, k, quiet=inner))
                for k, v in value.items()
            }
        return value

    @staticmethod
    def _is_quiet(path: JsonPath, key: str, *, quiet: bool) -> bool:
        """Return True if nobody reads a member: of what is switched off, or a comment."""
        return key != "disabled" and (quiet or ("args" not in path and key.startswith(COMMENT)))

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
        except _TooLong as error:
            message, source = str(error), self._document.variable_at(path)
            hint = self._document.explain(path, "Let variables hold fewer other variables.")
            cause = None if source is None else (source, message)
            at = self._findings.at
            at(self._document, path, "MMAR403", message, hint=hint, cause=cause)
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
        if self._lookups > _MOST_LOOKUPS:  # those of undefined ones cost no less
            raise _TooLong(f"The text needs variables more than {_MOST_LOOKUPS} times.")
        if name in within:
            if not quiet:
                circle = within[within.index(name) :]
                shown = " -> ".join((*circle, name))
                message = f"Variables refer to each other in a circle: {shown}."
                cause = (self._document.file, *sorted(circle))
                self._findings.at(self._document, path, "MMAR302", message, cause=cause)
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
        if self._characters > _MOST_CHARACTERS:
            raise _TooLong(f"Variables add more than {_MOST_CHARACTERS} characters to the file.")
        if len(within) > _DEEPEST:
            raise _TooLong(f"Variables stand more than {_DEEPEST} deep in each other.")
        if isinstance(value, str) and "{" in value:
            return self._text(value, path, quiet=quiet, within=(*within, name))
        return value

    def _undefined(self, name: str, path: JsonPath, *, quiet: bool) -> None:
        self._document.unresolved.add(path)
        if quiet:
            return
        hint = self._near(name)
        hint = hint or f"Define it in config/environment.json, or give --set {name}=VALUE."
        message = f"Nothing defines the variable {{{name}}}."
        self._findings.at(self._document, path, "MMAR301", message, hint=hint, cause=(name,))

    def _near(self, name: str) -> str | None:
        """Return which variable was meant; a file with very many mistakes is told of some."""
        if name not in self._meant and len(self._meant) < _MOST_MEANT:
            self._meant[name] = self._spelled(name) or did_you_mean(name, self._scope)
        return self._meant.get(name)

    def _spelled(self, name: str) -> str | None:
        """Return the hint for a variable that is defined by what cannot be the name of one."""
        if self._misnamed is None:
            hints = (misnamed(other) for other in self._variables.environment if no_name(other))
            self._misnamed = {hint.rpartition(": ")[2]: hint for hint in hints}
        return self._misnamed.get(f"write {name!r} there.")


def _as_text(value: Any) -> str:
    """Return a scalar as it stands inside a longer string."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "null" if value is None else str(value)
