# SPDX-License-Identifier: Apache-2.0
"""Targets: texts that people and programs wrote, and their schemas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mmar_runner.documents.json_reader import read_json
from mmar_runner.documents.schema_check import faults
from mmar_runner.documents.schema_store import load_schema
from mmar_runner.documents.strict_json import parse_checked, parse_strict
from mmar_runner.documents.words import pointer_text
from mmar_runner.documents.yaml_reader import read_yaml
from mmar_runner.mmar.checks.data_lists import lists_samples
from mmar_runner.mmar.sources.variables import parse_setting
from tests.fuzz.target import FindingError, Target

if TYPE_CHECKING:
    from mmar_runner.documents.json_source import JsonSource

#: Schemas that are closed, that refer to parts of themselves, and that take alternatives.
_SCHEMAS: Final = ("site_policy", "authorization")
JSON: Final = (
    *(b"{", b"}", b"[", b"]", b":", b",", b'"', b"'", b"//", b"/*", b"*/", b"#", b"\\u", b"\\"),
    *(b"true", b"false", b"null", b"None", b"NaN", b"-Infinity", b"1e999", b"-0", b'"":'),
    *(b"\\ud800", b"\xef\xbb\xbf", b"\xff\xfe", b"\x00", b"9" * 400, b"9" * 5000, b"{VAR}"),
)


def _places_are_in_the_text(source: JsonSource) -> None:
    """Every position that a reader gives can be shown: a line and a column from 1."""
    for problem in source.problems:
        line, column = source.position(problem.offset)
        if line < 1 or column < 1 or problem.offset > len(source.text):
            raise FindingError(f"{problem} stands at line {line}, column {column}")
        f"{problem.message} {problem.hint} {pointer_text(problem.path)}".encode()
    if source.reliable:
        for path in source.values:
            source.locate(path)


def _json(data: bytes) -> None:
    source = read_json(data.decode(errors="replace"))
    _places_are_in_the_text(source)
    for schema in _SCHEMAS if source.reliable else ():
        for fault in faults(load_schema(schema), source.value):
            f"{fault.message} {fault.hint} {pointer_text(fault.path)}".encode()


def _strict(data: bytes) -> None:
    try:
        parse_strict(data, limit=1 << 20)
        for schema in _SCHEMAS:
            parse_checked(data, schema, limit=1 << 20)
    except ValueError as error:  # which its callers translate, with the name of the file
        str(error).encode()


def _yaml(data: bytes) -> None:
    source = read_yaml(data.decode(errors="replace"))
    _places_are_in_the_text(source)
    if source.reliable and not source.problems:
        faults(load_schema("project"), source.value)
        repr(source.value).encode()


def _data_list(data: bytes) -> None:
    for name in ("list.json", "list.csv", "list.yml"):
        lists_samples(name, data)


def _setting(data: bytes) -> None:
    # As the command line gives it: bytes that are no text become halves of surrogate pairs.
    parse_setting(data.decode(errors="surrogateescape"))


TARGETS: Final = (
    Target("json", _json, "JSON that people write, and its schemas", JSON),
    Target("strict_json", _strict, "JSON that programs write, and its schemas", JSON),
    Target(
        "yaml",
        _yaml,
        "YAML, as project.yml is",
        (
            *(b"- ", b": ", b"? ", b"|\n", b">-\n", b"&a ", b"*a", b"!!python/object:os.system"),
            *(b"{", b"}", b"[", b"]", b"\t", b"  ", b"\n", b"---\n", b"...\n", b"%YAML 1.1\n---\n"),
            *(b'"\\U0011ffff"', b'"\\ud800"', b"%TAG ! x\n---\n", b"<<: ", b"9" * 5000, b"\x85"),
        ),
    ),
    Target("data_list", _data_list, "files that may list samples", (*JSON, b",", b";", b".nii")),
    Target("setting", _setting, "the value of --set", (*JSON, b"=", b"KEY=")),
)
