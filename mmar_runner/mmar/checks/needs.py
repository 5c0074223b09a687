# SPDX-License-Identifier: Apache-2.0
"""Do the parts of a workflow file have what they need of each other?

Who reads the file states it in ``extras`` as ``train_needs`` and ``validation_needs``, a list of
rules. Each is about the parts at ``part``, a JSON pointer pattern, that are called ``name`` (any,
without it), and says one of this:

- ``is``: names of which the part must have one;
- ``needs``: the pointer of a part that must be declared, and ``of``, names of which it must have
  one; null for what there never is, and ``instead``, where the part belongs;
- ``argument`` and ``objects``: what the argument may name;
- ``argument`` and ``metrics``: the pattern of metrics of which the argument names some, and
  ``prefix`` and ``label``, as ``measures`` has them.

A part that is a reference, or code of the MMAR, is believed to be right.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.documents.words import did_you_mean, pointer_text
from mmar_runner.interfaces.nested import is_off
from mmar_runner.mmar.checks.metrics import metrics_at
from mmar_runner.mmar.checks.places import is_reference, places

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mmar_runner.documents.json_source import JsonPath
    from mmar_runner.mmar.checks.case import Look
    from mmar_runner.mmar.components.resolving import Resolved
    from mmar_runner.mmar.document import Document

    Rule = Mapping[str, Any]
    Parts = Sequence[tuple[JsonPath, Resolved]]

#: Stands for every metric there is.
_ALL: Final = "*"
_NEAR: Final = 0.8
#: What is said of arguments: it goes where the component is not the one that was meant.
_OF_ARGUMENTS: Final = ("MMAR511", "MMAR512", "MMAR513", "MMAR514")


def check_needs(look: Look, document: Document, rules: Sequence[Rule], parts: Parts) -> None:
    """Apply a reader's rules to a file.

    Args:
        look: Where to say it.
        document: The file.
        rules: As the reader states them.
        parts: The file's parts, resolved, with their places.
    """
    for rule in rules:
        at = set(places(document.value, rule["part"]))
        for path, part in parts:
            name = name_of(part)
            if path in at and name is not None and rule.get("name") in {None, name}:
                _apply(look, document, rule, (path, name), parts)


def name_of(part: Resolved) -> str | None:
    """Return the name under which a part is registered; None if that is not known."""
    found = part.description
    return None if found is None or found.path_prefix else found.name


def _apply(
    look: Look, document: Document, rule: Rule, part: tuple[JsonPath, str], parts: Parts
) -> None:
    path, name = part
    if "is" in rule:
        _is_one_of(look, document, path, name, rule["is"])
    elif "objects" in rule:
        for where, value in _named(document, path, rule["argument"]):
            _is_object(look, document, where, value, rule)
    elif "metrics" in rule:
        _are_metrics(look, document, path, rule)
    else:
        _has(look, document, rule, part, parts)


def _is_one_of(
    look: Look, document: Document, path: JsonPath, name: str, names: Sequence[str]
) -> None:
    if name in names:
        return
    place = f"{pointer_text(document.origin(path))}/"
    of_arguments = [
        finding
        for code in _OF_ARGUMENTS
        for finding in look.findings.with_code(code)
        if finding.file == document.file and f"{finding.pointer}/".startswith(place)
    ]
    look.findings.remove(of_arguments)
    where = (*path, "path" if "path" in document.get(path) else "name")
    message = f"'{name}' cannot be the '{path[-1]}'."
    hint = f"Write {' or '.join(names)}, with arguments of it, or remove '{path[-1]}'."
    look.findings.at(document, where, "MMAR502", message, hint=hint)


def _has(
    look: Look, document: Document, rule: Rule, part: tuple[JsonPath, str], parts: Parts
) -> None:
    path, name = part
    if rule["needs"] is None:
        message = f"'{name}' works on what is not there in '{_dotted(path[:-1])}'."
        instead = rule.get("instead")
        move = f"Move it to '{_dotted(_path(instead))}', or remove it." if instead else "Remove it."
        look.findings.at(document, path, "MMAR635", message, hint=move)
        return
    wanted = _path(rule["needs"])
    declared, names = document.get(wanted), rule.get("of")
    if is_off(declared):
        if not _misspelt(look, document, wanted):
            message = f"'{name}' works on '{_dotted(wanted)}', and there is none."
            hint = f"Declare '{_dotted(wanted)}', or remove '{name}'."
            look.findings.at(document, path, "MMAR635", message, hint=hint)
        return
    there = next((name_of(one) for place, one in parts if place == wanted), None)
    if names is not None and there is not None and there not in names:
        which = " or ".join(names)
        message = f"'{name}' works on a {which}, and '{_dotted(wanted)}' is a {there}."
        hint = f"Declare a {which}, or remove '{name}'."
        look.findings.at(document, path, "MMAR635", message, hint=hint)


def _misspelt(look: Look, document: Document, wanted: JsonPath) -> bool:
    """Return True if a key was said to be unknown that was meant to be the wanted one."""
    holder = document.get(wanted[:-1])
    keys = [str(key) for key in holder] if isinstance(holder, dict) else []
    near = get_close_matches(str(wanted[-1]), keys, n=1, cutoff=_NEAR)
    return bool(near) and look.findings.has_at(document, (*wanted[:-1], near[0]))


def _named(document: Document, path: JsonPath, argument: str) -> Iterator[tuple[JsonPath, str]]:
    """Yield the names that an argument holds: one, a list of them, or the values of an object."""
    where = (*path, "args", argument)
    value = document.get(where)
    if isinstance(value, str):
        yield where, value
    items = value.items() if isinstance(value, dict) else enumerate(value or ())
    for key, one in items if isinstance(value, dict | list) else ():
        if isinstance(one, str):
            yield (*where, key), one


def _is_object(look: Look, document: Document, where: JsonPath, value: str, rule: Rule) -> None:
    known = rule["objects"]
    if value in known or document.is_unresolved(where):
        return
    message = f"'{value}' is nothing that '{rule['name']}' could be given here."
    hint = did_you_mean(value, known) or f"Known here: {', '.join(known)}."
    look.findings.at(document, where, "MMAR514", message, hint=document.explain(where, hint))


def _are_metrics(look: Look, document: Document, path: JsonPath, rule: Rule) -> None:
    declared = [document.get(place) for place in places(document.value, rule["metrics"])]
    if any(is_reference(one) for one in declared):
        return  # whose names nobody knows here
    measured = metrics_at(document, rule["metrics"], rule)
    for where, value in _named(document, path, rule["argument"]):
        if value in {_ALL, *measured} or document.is_unresolved(where):
            continue
        message = f"'{rule['name']}' reads '{value}', which nobody measures here."
        listed = f"What is measured: {', '.join(measured) or 'nothing'}."
        hint = document.explain(where, did_you_mean(value, measured) or listed)
        look.findings.at(document, where, "MMAR628", message, hint=hint)


def _path(pointer: str) -> JsonPath:
    return tuple(pointer.removeprefix("/").split("/"))


def _dotted(path: JsonPath) -> str:
    return ".".join(str(step) for step in path)
