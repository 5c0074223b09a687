# SPDX-License-Identifier: Apache-2.0
"""Does a ``--set`` reach anybody? One that nobody takes, or only the other side, is a slip."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.documents.words import did_you_mean, printable
from mmar_runner.mmar.checks.elsewhere import KNOWN
from mmar_runner.mmar.document import VARIABLE
from mmar_runner.mmar.sources.configuration import (
    CLIENT,
    ENVIRONMENT,
    SERVER,
    TRAIN,
    VALIDATION,
    VALIDATION_CKPT,
)
from mmar_runner.mmar.sources.variables import RUNNER_VARIABLES

if TYPE_CHECKING:
    from mmar_runner.mmar.checks.case import Look
    from mmar_runner.mmar.document import Document

#: Files that components of both sides are handed; their own scalars are variables too.
_BOTH: Final = (TRAIN, VALIDATION, VALIDATION_CKPT)
_OTHERS: Final = {"server": CLIENT, "client": SERVER}
_MENDS: Final = {
    "server": ("clients", "give it to run-client too"),
    "client": ("the server", "give it to run-server too"),
}
#: What the runner makes of variables: it reads the second where the first is not defined.
_STANDS_IN: Final = {"NUM_SITES": ("MIN_NUM_CLIENTS",)}


def check_settings(look: Look) -> None:
    """Report each setting that no file takes, or none of this side, or that is a relative path.

    Of the first two nothing is said while a file is missing or cannot be read: it may take any.
    """
    idle = set[str]() if _unread(look) else set(_idle(look))
    for name, value in look.files.variables.settings.items():
        if name not in idle and isinstance(value, str):
            _relative(look, name, value)


def _idle(look: Look) -> Iterator[str]:
    """Report and yield each setting that does nothing here."""
    variables = look.files.variables
    known = {*variables.used, *variables.globals, *variables.environment, *RUNNER_VARIABLES}
    # What is misnamed is read by nobody, which is said; it is meant to be read.
    known |= {n for file, d in look.files.parsed.items() if file not in KNOWN for n in _names(d)}
    if look.side == "all":
        for name in variables.settings.keys() - known:
            _unused(look, name, known)
            yield name
        return
    other = look.files.parsed.get(_OTHERS[look.side])
    if other is None:
        return  # what is not there may take any of them
    own = (SERVER if look.side == "server" else CLIENT, *_BOTH)
    here, there = _takes(look, *own), _takes(look, other.file)
    for name in variables.settings.keys() - here:
        if name in there:
            who, mend = _MENDS[look.side]
            message = f"The setting {name} is used only by {who}."
            look.findings.add("MMAR305", message, hint=f"It does nothing here: {mend}.")
            yield name
        elif name not in known:
            _unused(look, name, known)
            yield name


def _relative(look: Look, name: str, value: str) -> None:
    """Report a relative path of where the program was started: components run elsewhere."""
    path = Path(value)
    try:
        meant = value != "" and not path.is_absolute() and path.exists()
    except (OSError, ValueError):
        return  # no path at all
    if meant and not look.folder.inside(value):
        message = f"The setting {name} is a relative path, and components run in other folders."
        hint = f"Give all of it: --set {name}={shlex.quote(printable(str(path.absolute())))}"
        look.findings.add("MMAR307", message, hint=hint)


def _unread(look: Look) -> bool:
    """Return True if a file that may take settings is missing, or was not understood."""
    damaged = any(f in KNOWN and f not in look.files.parsed for f in look.folder.files)
    return damaged or any(look.findings.with_code(code) for code in ("MMAR102", "MMAR609"))


def known_names(look: Look) -> set[str]:
    """Return every variable that a file uses, that the runner reads, or that files override."""
    variables = look.files.variables
    scope = {**variables.environment, **variables.settings}
    found = {*variables.globals, *RUNNER_VARIABLES, "MIN_NUM_CLIENTS"}
    for document in look.files.parsed.values():
        if document.file != ENVIRONMENT:
            found |= _names(document)
    return _closed(found, scope)


def unused_words(name: str) -> str:
    """Return what is said of a setting that no file uses."""
    return f"No file uses the setting {name}."


def _unused(look: Look, name: str, known: set[str]) -> None:
    look.findings.add("MMAR303", unused_words(name), hint=did_you_mean(name, known))


def _takes(look: Look, *files: str) -> set[str]:
    """Return the variables that stand in files, and those in the values of these."""
    found: set[str] = set()
    for file in files:
        document = look.files.parsed.get(file)
        if document is None:
            continue
        if file in _BOTH:
            found |= document.value.keys()
        scope = {**document.value, **look.files.variables.common()}
        found |= _closed(_names(document), scope)
    return found


def _names(document: Document) -> set[str]:
    return {name for text in _texts(document.value) for name in VARIABLE.findall(text)}


def _closed(names: set[str], scope: dict[str, Any]) -> set[str]:
    left, done = list(names), set[str]()
    while left:
        name = left.pop()
        if name not in done:
            done.add(name)
            value = scope.get(name)
            left += VARIABLE.findall(value) if isinstance(value, str) else ()
            left += _STANDS_IN.get(name, ())
    return done


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for child in value.values():
            yield from _texts(child)
    elif isinstance(value, list):
        for child in value:
            yield from _texts(child)
