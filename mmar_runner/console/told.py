# SPDX-License-Identifier: Apache-2.0
"""What a server tells its consoles: read strictly, since a server may tell anything."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.documents.schema_check import faults
from mmar_runner.documents.schema_store import load_schema
from mmar_runner.documents.strict_json import parse_strict
from mmar_runner.errors import ProtocolError
from mmar_runner.interfaces.admin_command import CommandSpec, Parameter
from mmar_runner.orders.commands import BUILT_IN, by_name
from mmar_runner.orders.typed import LARGEST

if TYPE_CHECKING:
    from collections.abc import Mapping

_BYTES: Final = 4 << 20
#: Commands that a server may offer.
_MOST: Final = 1000
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_KINDS: Final = frozenset({"word", "int", "number"})


def commands(data: bytes) -> Mapping[str, CommandSpec]:
    """Return what a server offers, by name.

    A command that every server knows, and that destroys something, is what it is everywhere,
    whatever this server says of it: so it is asked about, and so it is signed.

    Raises:
        ProtocolError: It is no list of commands.
    """
    try:
        value = parse_strict(data, limit=_BYTES)
        if not isinstance(value, list) or len(value) > _MOST:
            raise _strange("no list of commands, or too many")
        return by_name(_safer(_spec(one)) for one in value)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise _strange(f"no list of commands ({error})") from error


def event(data: bytes) -> dict[str, Any]:
    """Return one event, as in the schema ``admin_event``.

    Raises:
        ProtocolError: It is none.
    """
    try:
        value = parse_strict(data, limit=_BYTES)
    except ValueError as error:
        raise ProtocolError(f"what the server answers {error}") from error
    schema = load_schema("admin_event")
    kind = value.get("kind") if isinstance(value, dict) else None
    known = schema["$defs"].get(kind) if isinstance(kind, str) else None
    if known is None:
        raise _strange("something that is no event")
    if found := faults(known, value):
        raise _strange(f"an event of the kind {kind} that is none: {found[0].message}")
    width = len(value.get("columns", ()))
    if any(len(row) != width for row in value.get("rows", ())):
        raise _strange("a table whose rows do not fit its headings")
    checked: dict[str, Any] = value
    return checked


def _spec(value: Mapping[str, Any]) -> CommandSpec:
    spec = CommandSpec.from_json(value)
    names = [field.name for field in fields(spec) if field.type == "str"]
    if not all(isinstance(getattr(spec, name), str) for name in names):
        raise TypeError("a command's text is none")
    if not _NAME.fullmatch(spec.name):
        raise ValueError("a command's name is none")
    if not all(isinstance(one, str) for one in spec.examples):
        raise TypeError("an example is no text")
    if not all(_sound(one) for one in (*spec.parameters, *spec.after_target)):
        raise TypeError("a parameter is none")
    return spec


def _sound(parameter: Parameter) -> bool:
    texts = (parameter.name, parameter.summary)
    least = parameter.least
    number = least is None or (_is_number(least) and abs(least) <= LARGEST)
    return all(isinstance(text, str) for text in texts) and number and parameter.kind in _KINDS


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)


def _safer(spec: CommandSpec) -> CommandSpec:
    # Read otherwise it would be asked about in other words: without whom it is addressed to.
    known = BUILT_IN.get(spec.name)
    return known if known is not None and known.destructive else spec


def _strange(what: str) -> ProtocolError:
    hint = "the server may run another version of mmar-runner; `info` says which"
    return ProtocolError(f"the server tells {what}", hint=hint)


def digests(value: Mapping[str, Any]) -> dict[str, str]:
    """Return the digests of uploaded MMARs by name, of what ``list_mmars`` gives.

    What is no digest is left out: it is not signed.
    """
    found = value.get("mmars")
    entries = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    named = {str(one.get("name")): str(one.get("digest")) for one in entries}
    return {name: digest for name, digest in named.items() if _DIGEST.fullmatch(digest)}
