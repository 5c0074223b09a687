# SPDX-License-Identifier: Apache-2.0
"""A file of entry points in an MMAR: can it be read, and is all of it used?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mmar_runner.documents.schema_check import faults
from mmar_runner.documents.words import did_you_mean, pointer_text
from mmar_runner.documents.yaml_reader import read_yaml
from mmar_runner.interfaces.entry_points import (
    ENTRY_POINTS,
    ENVIRONMENT_KEY,
    FILE_KEY,
    FILE_SCHEMA,
    MAX_FILE_BYTES,
)
from mmar_runner.security.decision import Place

if TYPE_CHECKING:
    from mmar_runner.documents.json_source import JsonSource
    from mmar_runner.mmar.checks.case import Look

_KINDS: Final = {"required": "MMAR401", "unknown": "MMAR404", "type": "MMAR402"}
#: What older packages declare besides, and nothing here calls.
_NOT_CALLED: Final = "predict"


def read_file(look: Look, file: str) -> JsonSource | None:
    """Return a file of entry points if it has the shape of one; else say why not.

    Args:
        look: The MMAR, and where findings go.
        file: A file of it.
    """
    try:
        text = look.folder.read_bytes(file, MAX_FILE_BYTES).decode()
    except (OSError, ValueError) as error:
        look.findings.add("MMAR672", f"The file cannot be read: {error}.", file=file)
        return None
    source = read_yaml(text)
    for problem in source.problems:
        place = Place(file, *source.position(problem.offset), "")
        say(look, "MMAR672", problem.message, place, problem.hint)
    return source if not source.problems and _is_sound(look, file, source) else None


def _is_sound(look: Look, file: str, source: JsonSource) -> bool:
    wrong = faults(FILE_SCHEMA, source.value)
    for fault in wrong:
        line, column = source.locate(fault.path, key=fault.at_key)
        place = Place(file, line, column, pointer_text(fault.path))
        code = _KINDS.get(fault.kind, "MMAR403")
        say(look, code, f"{place.pointer or 'The file'}: {fault.message}", place, fault.hint)
    # An unknown key hides nothing: what the others say holds.
    return not any(fault.kind != "unknown" for fault in wrong)


def say_unused(look: Look, file: str, source: JsonSource) -> None:
    """Say of entry points and environments that nobody here makes anything of them."""
    for name in source.value[FILE_KEY]:
        if name in ENTRY_POINTS:
            continue
        path = (FILE_KEY, name)
        place = Place(file, *source.locate(path, key=True), pointer_text(path))
        if name == _NOT_CALLED:
            message = f"The entry point '{name}' is not called here."
            say(look, "MMAR211", message, place, "Nothing needs to be done.")
        else:
            known = f"There are: {', '.join(ENTRY_POINTS)}."
            hint = did_you_mean(name, ENTRY_POINTS) or known
            say(look, "MMAR404", f"There is no entry point '{name}'.", place, hint)
    if ENVIRONMENT_KEY in source.value:
        place = Place(file, *source.locate((ENVIRONMENT_KEY,), key=True), f"/{ENVIRONMENT_KEY}")
        message = "No Python environment is made: commands find what a site has installed."
        say(look, "MMAR673", message, place)


def say(look: Look, code: str, message: str, place: Place, hint: str | None = None) -> None:
    """Add a finding at a place of any file of the MMAR."""
    position = (place.line, place.column)
    look.findings.add(
        code, message, file=place.file, position=position, pointer=place.pointer, hint=hint
    )
