# SPDX-License-Identifier: Apache-2.0
"""Checking a value against a JSON Schema, with every fault as a sentence."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from itertools import islice
from typing import TYPE_CHECKING, Any

from mmar_runner.documents.quick_schema import surely_valid, unknown_keys
from mmar_runner.documents.words import did_you_mean, strange_letter
from mmar_runner.errors import FormatError

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

    from mmar_runner.documents.json_source import JsonPath

_SHOWN = 60
#: Faults of one document that are told: to find and to explain them takes its time.
MOST_FAULTS = 1000
_MEND_FIRST = "Mend these first."


@dataclass(frozen=True, slots=True)
class Fault:
    """One way in which a value does not fit its schema.

    Attributes:
        kind: ``required``, ``type``, ``unknown`` or ``value``.
        path: The value concerned; for ``unknown`` the unknown member.
        message: What is wrong, without the place.
        hint: How to mend it, or None.
        member: The missing or unknown key, or None.
        at_key: True if ``path`` is meant as a key, not as its value.
    """

    kind: str
    path: JsonPath
    message: str
    hint: str | None = None
    member: str | None = None
    at_key: bool = False


def faults(schema: Mapping[str, Any], value: Any) -> list[Fault]:
    """Return everything in which a value does not fit a schema (2020-12).

    After `MOST_FAULTS` the rest is not looked at, and a last fault says so.
    """
    if surely_valid(schema, value, schema):
        return []
    # Deferred: a valid document does not need it.
    from mmar_runner.documents.full_schema import errors  # noqa: PLC0415

    every = (fault for error in errors(schema, value) for fault in _translate(error))
    found = _merged(list(islice(every, MOST_FAULTS)))
    if len(found) == MOST_FAULTS:
        found.append(Fault("value", (), "There may be more wrong here than is told.", _MEND_FIRST))
    return sorted(found, key=lambda f: [str(part) for part in f.path])


def show(value: Any) -> str:
    """Return a value as short JSON."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def _translate(error: ValidationError) -> Iterator[Fault]:
    path: JsonPath = tuple(error.absolute_path)
    keyword, expected, value = error.validator, error.validator_value, error.instance
    if keyword == "required":
        yield from _missing(path, error)
    elif keyword in {"additionalProperties", "unevaluatedProperties"} and expected is False:
        yield from _unknown(path, error)
    elif keyword == "type" and _is_no_variable(error):
        yield _unknown_part(path, error)
    elif keyword == "type":
        message, hint = _wrong_type(expected, value)
        meant = _declaring(error.schema, value) or _listing(error.schema, value)
        yield Fault("type", path, message, meant or hint)
    elif keyword in {"anyOf", "oneOf"} and error.context:
        yield from _branch(error)
    else:
        yield Fault("value", path, *_wrong_value(str(keyword), expected, value, error))


def _is_no_variable(error: ValidationError) -> bool:
    """Return True for an object or list among variables: a misspelt part, and no wrong value."""
    known = isinstance(error.schema, Mapping) and "x-known" in error.schema
    return known and isinstance(error.instance, dict | list)


def _unknown_part(path: JsonPath, error: ValidationError) -> Fault:
    schema: Any = error.schema
    key, known = str(path[-1]), schema["x-known"]
    hint = did_you_mean(key, known) or f"Known here: {', '.join(known)}, and variables."
    return Fault("unknown", path, f"'{key}' is unknown here.", hint, key, at_key=True)


def _missing(path: JsonPath, error: ValidationError) -> Iterator[Fault]:
    """Yield the one missing key that this error is about (there is an error for each)."""
    instance: Any = error.instance
    required: Any = error.validator_value
    for key in required:
        if key not in instance and error.message.startswith(repr(key)):
            known = error.schema.get("properties", {}) if isinstance(error.schema, Mapping) else {}
            meaning = known.get(key, {}).get("description") if isinstance(known, Mapping) else None
            hint = f"Add it: {meaning}" if meaning else "Add it."
            yield Fault("required", path, f"'{key}' is missing.", hint, str(key))


def _merged(found: list[Fault]) -> list[Fault]:
    """Make one fault of a missing key and the unknown key that was meant to be it."""
    merged = list(found)
    for missing in (fault for fault in found if fault.kind == "required"):
        unknown = {
            str(f.member): f
            for f in merged
            if f.kind == "unknown" and f.path[:-1] == missing.path and missing.kind == "required"
        }
        near = get_close_matches(str(missing.member), unknown, n=1)
        near = near or [key for key in unknown if "{" in key]  # a variable, which no key has
        if near:
            merged.remove(unknown[near[0]])
            message = f"'{missing.member}' is missing; here stands '{near[0]}'."
            hint = f"Did you mean '{missing.member}'?{strange_letter(near[0], missing.member)}"
            merged[merged.index(missing)] = replace(
                missing,
                path=(*missing.path, near[0]),
                message=message,
                hint=hint,
                at_key=True,
            )
    return _gathered(merged)


def _gathered(found: list[Fault]) -> list[Fault]:
    """Make one fault of all keys that are missing in one place."""
    gathered: dict[JsonPath, list[Fault]] = {}
    for fault in found:
        if fault.kind == "required" and not fault.at_key:
            gathered.setdefault(fault.path, []).append(fault)
    rest = [f for f in found if f.kind != "required" or f.at_key]
    for missing in gathered.values():
        if len(missing) == 1:
            rest.append(missing[0])
            continue
        names = sorted(f"'{fault.member}'" for fault in missing)
        message = f"{', '.join(names[:-1])} and {names[-1]} are missing."
        rest.append(replace(missing[0], message=message, hint="Add them."))
    return rest


def _unknown(path: JsonPath, error: ValidationError) -> Iterator[Fault]:
    schema = error.schema if isinstance(error.schema, Mapping) else {}
    known = list(schema.get("properties", {}))
    instance: Any = error.instance
    for key in unknown_keys(schema, instance):
        hint = did_you_mean(key, known) or f"Known here: {', '.join(sorted(known)) or 'nothing'}."
        yield Fault("unknown", (*path, key), f"'{key}' is unknown here.", hint, key, at_key=True)


def _wrong_type(expected: Any, value: Any) -> tuple[str, str | None]:
    kinds = [expected] if isinstance(expected, str) else list(expected)
    wanted = " or ".join(_TYPES.get(k, k) for k in kinds)
    message = f"Expected {wanted}, found {show(value)}."
    if isinstance(value, str) and _is_literal(value.strip(), kinds):
        return message, f"Write it without quotes: {value.strip()}."
    if isinstance(value, float) and value.is_integer() and "integer" in kinds:
        return message, f"Write it without a decimal point: {value:.0f}."
    if isinstance(value, str) and "{" in value:
        return message, f"Write {wanted}; a variable is written {{NAME}}, with nothing beside it."
    return message, f"Write {wanted}."


def declaration_of(name: str) -> str | None:
    """Return the hint for a name that stands where an object with that name is wanted.

    Args:
        name: What was written; one with dots is a class path. None is answered to what no
            name can be.
    """
    if not name.replace("_", "").replace(".", "").isalnum():
        return None
    return f'Write {{"{"path" if "." in name else "name"}": "{name}"}}.'


def _declaring(schema: Any, value: Any) -> str | None:
    """Return that hint if a schema is of an object that is known by its name."""
    if not isinstance(value, str) or not isinstance(schema, Mapping):
        return None
    named = "x-component" in schema or {"name", "args"} <= schema.get("properties", {}).keys()
    return declaration_of(value) if named and schema.get("type") == "object" else None


def _listing(schema: Any, value: Any) -> str | None:
    """Return the hint for the only item of a list that stands there without its list."""
    if not isinstance(value, dict) or not value or not isinstance(schema, Mapping):
        return None
    items = schema.get("items", {})
    of_objects = isinstance(items, Mapping) and items.get("type", "object") == "object"
    return "Put [ ] around it." if schema.get("type") == "array" and of_objects else None


def _is_literal(text: str, kinds: list[str]) -> bool:
    if text in {"true", "false"}:
        return "boolean" in kinds
    try:
        number = float(text)
    except ValueError:
        return False
    return "number" in kinds or ("integer" in kinds and number.is_integer())


def _wrong_value(
    keyword: str, expected: Any, value: Any, error: ValidationError
) -> tuple[str, str | None]:
    if keyword == "format":
        return _ill_formed(value, error.cause)
    sentence = _RULES.get(keyword)
    if keyword == "enum":
        allowed = [str(v) for v in expected]
        near = did_you_mean(value, allowed) if isinstance(value, str) else None
        hint = near or "Write one of them."
        return f"{show(value)} is not one of {', '.join(show(v) for v in expected)}.", hint
    if sentence is None:
        return f"{show(value)} is not allowed: {error.message}.", "Write another value."
    # A pattern is for machines; what the schema says beside it is what was meant.
    meant = error.schema.get("description") if isinstance(error.schema, Mapping) else None
    if keyword == "pattern" and meant:
        return f"{show(value)} is not of the form that is asked for.", f"Expected: {meant}"
    if expected == 1 and keyword in _EMPTY:
        return f"{show(value)} is empty.", _EMPTY[keyword]
    mend = _MENDS.get(keyword, "Write another value.")
    return f"{show(value)} {sentence.format(show(expected))}.", mend.format(show(expected))


def _ill_formed(value: Any, cause: Any) -> tuple[str, str | None]:
    if isinstance(cause, FormatError):  # of a function written as text
        return f"{show(value)}: {cause}.", cause.hint
    hint = r"Mend the expression; \ before a special character makes it a plain one."
    return f"{show(value)} is not a regular expression: {cause}.", hint


def _branch(error: ValidationError) -> Iterator[Fault]:
    """Yield the faults of the alternative that the value comes nearest to."""
    branches: dict[Any, list[ValidationError]] = {}
    for inner in error.context or ():
        branches.setdefault(inner.schema_path[0], []).append(inner)
    path: JsonPath = tuple(error.absolute_path)
    fitting = [
        found
        for found in branches.values()
        if not any(e.validator == "type" and not list(e.path) for e in found)
    ]
    if len(fitting) == 1:
        for inner in fitting[0]:
            yield from _translate(inner)
        return
    inner_errors = [e for found in branches.values() for e in found]
    kinds = [e.validator_value for e in inner_errors if e.validator == "type"]
    if not fitting and all(isinstance(k, str) for k in kinds):
        yield Fault("type", path, *_wrong_type(kinds, error.instance))
        return
    said = error.schema.get("x-alternatives") if isinstance(error.schema, Mapping) else None
    if isinstance(said, Mapping):  # the schema has words for it, and a place
        instance: Any = error.instance
        place = (*path, said["at"]) if said["at"] in instance else path
        yield Fault("value", place, said["message"], said["hint"])
        return
    message = f"{show(error.instance)} fits none of the alternatives."
    yield Fault("value", path, message, "Write one of the forms that the documentation shows.")


_TYPES = {
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "boolean": "true or false",
    "object": "an object",
    "array": "a list",
    "null": "null",
}
_RULES = {
    "const": "is not {}",
    "minimum": "is below {}",
    "maximum": "is above {}",
    "exclusiveMinimum": "is not above {}",
    "exclusiveMaximum": "is not below {}",
    "multipleOf": "is no multiple of {}",
    "minLength": "is shorter than {} characters",
    "maxLength": "is longer than {} characters",
    "pattern": "does not match {}",
    "minItems": "has fewer than {} items",
    "maxItems": "has more than {} items",
    "uniqueItems": "has an item twice",
    "minProperties": "has fewer than {} members",
    "maxProperties": "has more than {} members",
}
#: What to do about a value that is empty and must not be.
_EMPTY = {
    "minLength": "Write a text of at least 1 character.",
    "minItems": "Write at least 1 item.",
    "minProperties": "Write at least 1 member.",
}
_MENDS = {
    "const": "Write {}.",
    "minimum": "Write {} or more.",
    "maximum": "Write {} or less.",
    "exclusiveMinimum": "Write a number above {}.",
    "exclusiveMaximum": "Write a number below {}.",
    "multipleOf": "Write a multiple of {}.",
    "minLength": "Write a text of at least {} characters.",
    "maxLength": "Write at most {} characters.",
    "minItems": "Write at least {} items.",
    "maxItems": "Write at most {} items.",
    "uniqueItems": "Remove one of them.",
    "minProperties": "Write at least {} members.",
    "maxProperties": "Write at most {} members.",
}
