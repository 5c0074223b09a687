# SPDX-License-Identifier: Apache-2.0
"""Replacing ``{VARIABLE}``: typed when it is the whole string, and never evaluated.

Weakest first: what the runner defines, the file's own top-level scalars,
environment.json, ``--set``. CLIENT_NAME is the runner's alone: nothing overrides it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mmar_runner.documents.json_reader import read_json
from mmar_runner.documents.words import did_you_mean
from mmar_runner.errors import UsageError

if TYPE_CHECKING:
    from mmar_runner.documents.json_source import JsonPath
    from mmar_runner.mmar.document import Document
    from mmar_runner.mmar.finding import Findings

#: Names that the runner defines for every client.
RUNNER_VARIABLES = ("CLIENT_NAME", "SITE_INDEX", "NUM_SITES")
#: The client whose view is checked when nobody in particular asks.
ANY_CLIENT = "site-1"

#: A variable in a text.
VARIABLE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_SITE = re.compile(r"site-([1-9][0-9]*)")
_EXPRESSION = re.compile(r"[#$](@|import\b|__)")
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
            SITE_INDEX and NUM_SITES themselves.
    """
    site = _SITE.fullmatch(name)
    sites = variables.get("NUM_SITES", variables.get("MIN_NUM_CLIENTS", _DEFAULT_SITES))
    return {
        "CLIENT_NAME": name,
        "SITE_INDEX": variables.get("SITE_INDEX", int(site[1]) if site else 1),
        "NUM_SITES": sites,
    }


def is_scalar(value: object) -> bool:
    """Return True for what a variable may hold."""
    return value is None or isinstance(value, str | int | float | bool)


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

    def substitute(self, document: Document, findings: Findings, *, override: bool) -> None:
        """Replace every variable in a document.

        Args:
            document: Changed in place.
            findings: Gets what is undefined or circular.
            override: Give the file's own top-level scalars the value that
                environment.json or ``--set`` has for them.
        """
        _Substitution(self, document, findings).run(override=override)


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

    def run(self, *, override: bool) -> None:
        """Replace everything; see `Variables.substitute`."""
        value = self._walk(self._document.value, (), quiet=False)
        if override:
            for key in value.keys() & self._common.keys():
                if is_scalar(self._document.value[key]):
                    value[key] = self._common[key]
                    self._variables.used.add(key)
        self._document.value = value

    def _walk(self, value: Any, path: JsonPath, *, quiet: bool) -> Any:
        if isinstance(value, str):
            if "{" not in value:
                return self._plain(value, path)
            return self._text(value, path, quiet=quiet)
        if isinstance(value, list):
            return [self._walk(v, (*path, i), quiet=quiet) for i, v in enumerate(value)]
        if isinstance(value, dict):
            switch = value.get("disabled")
            if isinstance(switch, str):
                switch = self._text(switch, (*path, "disabled"), quiet=True)
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

    def _text(self, text: str, path: JsonPath, *, quiet: bool, within: tuple[str, ...] = ()) -> Any:
        whole = VARIABLE.fullmatch(text)
        if whole:
            self._document.substituted.setdefault(path, whole[1])
            return self._lookup(whole[1], path, quiet=quiet, within=within)
        return VARIABLE.sub(
            lambda m: _as_text(self._lookup(m[1], path, quiet=quiet, within=within)), text
        )

    def _lookup(self, name: str, path: JsonPath, *, quiet: bool, within: tuple[str, ...]) -> Any:
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
