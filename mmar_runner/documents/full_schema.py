# SPDX-License-Identifier: Apache-2.0
"""All of JSON Schema (2020-12), as ``jsonschema`` judges it, with three rules made strict.

A pattern's ``$`` is the end of a text, a whole number has no decimal point, and a regular
expression that cannot be compiled is none, whatever Python says about it. The format
``item-function`` is a function written as text. Importing this costs more start-up time than
all the rest, and a valid document does not need it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

from mmar_runner.documents.item_functions import MOST_POSITIONS, parse_item_function
from mmar_runner.documents.patterns import found_in, require_expression
from mmar_runner.documents.quick_schema import unknown_keys
from mmar_runner.errors import FormatError

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

    Errors = Iterator[ValidationError]

_FORMATS: Final = FormatChecker(formats=())


def errors(schema: Mapping[str, Any], value: Any) -> Errors:
    """Yield every error of a value."""
    found: Errors = _Validator(schema, format_checker=_FORMATS).iter_errors(value)
    return found


@_FORMATS.checks("regex", raises=ValueError)
def _regex(value: object) -> bool:
    if isinstance(value, str):
        require_expression(value)
    return True


def _format(validator: Any, name: str, value: Any, schema: Mapping[str, Any]) -> Errors:
    if name == "item-function" and validator.is_type(value, "string"):
        try:
            parse_item_function(value, most_positions=schema.get(MOST_POSITIONS))
        except FormatError as error:
            yield ValidationError(f"{value!r} is not a {name!r}", cause=error)
        return
    yield from Draft202012Validator.VALIDATORS["format"](validator, name, value, schema)


def _is_whole(_: Any, value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _pattern(validator: Validator, pattern: str, value: Any, _: Any) -> Errors:
    if validator.is_type(value, "string") and not found_in(pattern, value):
        yield ValidationError(f"{value!r} does not match {pattern!r}")


def _pattern_properties(validator: Any, patterns: Mapping[str, Any], value: Any, _: Any) -> Errors:
    if validator.is_type(value, "object"):
        for pattern, inner in patterns.items():
            for key in (key for key in value if found_in(pattern, key)):
                yield from validator.descend(value[key], inner, path=key, schema_path=pattern)


def _additional(validator: Any, rest: Any, value: Any, schema: Mapping[str, Any]) -> Errors:
    if not validator.is_type(value, "object"):
        return
    extra = unknown_keys(schema, value)
    if validator.is_type(rest, "object"):
        for key in extra:
            yield from validator.descend(value[key], rest, path=key)
    elif extra and not rest:
        yield ValidationError(f"unknown: {', '.join(map(repr, extra))}")


_Validator: Final[Any] = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    {
        "format": _format,
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "additionalProperties": _additional,
    },
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_whole),
)
