# SPDX-License-Identifier: Apache-2.0
"""Arguments that a class had under another name once, brought up to date in memory.

What a plugin states as ``upgrades`` of a component is a list of rules, applied in order
before the arguments are compared with its schema; each that applies leaves a note::

    {"rename": {"dimensions": "spatial_dims"}, "note": "since MONAI 0.6"}
    {"into": "to_onehot", "from": "n_classes", "when": true}
    {"drop": ["image_only"]}                    {"drop": ["sigmoid"], "is": [false]}
    {"set": {"channel_dim": "no_channel"}}

``into`` puts a number in place of a switch that is on, and null where it is off, item by
item if either is a list; ``or`` is the number if none is declared. ``drop`` with ``is``
leaves any other value where it stands. A component that states ``becomes`` is declared as
that other one from then on. Whoever runs the MMAR gets the new form.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mmar_runner.documents.schema_check import show
from mmar_runner.interfaces.catalog import ComponentKind
from mmar_runner.mmar.document import VARIABLE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mmar_runner.documents.json_source import JsonPath
    from mmar_runner.interfaces.catalog import ComponentDescription
    from mmar_runner.mmar.document import Document
    from mmar_runner.mmar.finding import Findings

_CODE: Final = "MMAR213"


def upgrade_arguments(
    document: Document, path: JsonPath, found: ComponentDescription, findings: Findings
) -> None:
    """Apply a component's rules to a declaration in a document.

    Args:
        document: Where it is declared; its value changes.
        path: The place of the declaration.
        found: What the catalog says of the component.
        findings: Gets a note for every argument.
    """
    rules = found.extras.get("upgrades", ())
    args = document.get((*path, "args"), {})
    if not rules or not isinstance(args, dict):
        return
    upgrade = _Upgrade(document, path, args, findings)
    for rule in rules:
        upgrade.apply(rule)
    if args and "args" not in document.get(path):
        document.get(path)["args"] = args
        document.moves[*path, "args"] = document.origin(path)


def upgrade_identity(
    document: Document,
    path: JsonPath,
    found: ComponentDescription,
    to: ComponentDescription,
    findings: Findings,
) -> None:
    """Declare a component in place of the older one that it took the place of.

    A transform keeps what references call it: ``AddChanneld`` becomes
    ``EnsureChannelFirstd#AddChanneld``.
    """
    declaration = document.get(path)
    key = "path" if "path" in declaration else "name"
    written = str(declaration[key])
    base, _, label = written.partition("#")
    message = f"'{base}' is now '{to.name}'{_because(found.extras)}."
    findings.at(document, (*path, key), _CODE, message)
    named = f"{to.name}#{label or base}" if to.kind is ComponentKind.TRANSFORM else to.name
    declaration[key] = named if key == "name" else to.target.replace(":", ".")


class _Upgrade:
    """The arguments of one declaration, and where what is done to them is noted."""

    def __init__(
        self, document: Document, path: JsonPath, args: dict[str, Any], findings: Findings
    ) -> None:
        self._document = document
        self._path = path
        self._args = args
        self._findings = findings

    def apply(self, rule: Mapping[str, Any]) -> None:
        """Apply one rule, as far as it concerns what is declared."""
        for old, new in rule.get("rename", {}).items():
            if old in self._args:
                self._rename(old, new, rule)
        if "into" in rule:
            self._join(rule)
        for name in rule.get("drop", ()):
            if name in self._args and _among(self._args[name], rule.get("is")):
                self._note(name, f"'{name}' is not needed any more", rule)
                del self._args[name]
        for name, value in rule.get("set", {}).items():
            if name not in self._args:
                self._args[name] = value
                self._document.moves[self._at(name)] = self._document.origin(self._path)

    def _rename(self, old: str, new: str, rule: Mapping[str, Any]) -> None:
        if new in self._args:
            self._note(old, f"'{old}' is an older name of '{new}', which stands here too", rule)
            del self._args[old]
            return
        self._note(old, f"'{old}' is now '{new}'", rule)
        self._document.moves[self._at(new)] = self._document.origin(self._at(old))
        self._args[new] = self._args.pop(old)

    def _join(self, rule: Mapping[str, Any]) -> None:
        into, source = rule["into"], rule["from"]
        if source not in self._args and not _has_switch(self._args.get(into)):
            return
        number = self._args.get(source, rule.get("or"))
        made = _joined(self._args.get(into, not rule["when"]), number, rule["when"])
        if made is _UNKNOWN:
            return
        where = source if source in self._args else into
        self._args.pop(source, None)
        self._note(where, f"'{source}' is now the value of '{into}': {show(made)}", rule)
        if into not in self._args:
            self._document.moves[self._at(into)] = self._document.origin(self._at(source))
        self._args[into] = made

    def _note(self, name: str, message: str, rule: Mapping[str, Any]) -> None:
        said = f"{message}{_because(rule)}."
        self._findings.at(self._document, self._at(name), _CODE, said, key=True)

    def _at(self, name: str) -> JsonPath:
        return (*self._path, "args", name)


def _because(rule: Mapping[str, Any]) -> str:
    return f" ({rule['note']})" if rule.get("note") else ""


def _among(value: Any, values: list[Any] | None) -> bool:
    """Return True for one of the values, whose type counts too; for any if there are none."""
    return values is None or any(type(value) is type(one) and value == one for one in values)


_UNKNOWN: Final = object()


def _has_switch(value: Any) -> bool:
    return isinstance(value, bool) or (
        isinstance(value, list) and any(isinstance(one, bool) for one in value)
    )


def _joined(switch: Any, number: Any, on: Any) -> Any:
    """Return the number where a switch is on, null where it is off; _UNKNOWN if that is unclear."""
    if isinstance(switch, list) or isinstance(number, list):
        length = len(switch if isinstance(switch, list) else number)
        switches = switch if isinstance(switch, list) else [switch] * length
        numbers = number if isinstance(number, list) else [number] * length
        if len(switches) != len(numbers):
            return _UNKNOWN
        made = [_joined(one, count, on) for one, count in zip(switches, numbers, strict=True)]
        return _UNKNOWN if any(one is _UNKNOWN for one in made) else made
    if isinstance(switch, str) and VARIABLE.fullmatch(switch):
        return _UNKNOWN  # which may be on
    if not isinstance(switch, bool):
        return switch  # the new form already
    if switch is not on:
        return None
    return _UNKNOWN if number is None else number
