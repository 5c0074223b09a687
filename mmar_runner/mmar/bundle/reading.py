# SPDX-License-Identifier: Apache-2.0
"""The configuration files of a bundle: JSON and YAML, as plain data."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from mmar_runner.documents.words import pointer_text
from mmar_runner.documents.yaml_reader import read_yaml
from mmar_runner.mmar.document import Document
from mmar_runner.mmar.reading import read_document, read_text

if TYPE_CHECKING:
    from mmar_runner.mmar.finding import Findings
    from mmar_runner.mmar.folder import MmarFolder

JSON: Final = ".json"
SUFFIXES: Final = (JSON, ".yaml", ".yml")
#: The most configuration files of one bundle; those of the model zoo hold a dozen.
MOST_FILES: Final = 200
#: Values in one YAML file: aliases make many of few characters.
_YAML_VALUES: Final = 100_000


def configuration_files(folder: MmarFolder, root: str) -> list[str]:
    """Return every file below a folder that MONAI could read as a configuration, sorted.

    MONAI goes by how a name ends: ``..yaml``, which has no suffix elsewhere, is one.

    Args:
        folder: What was surveyed; hidden files and those below ``models/`` count too.
        root: The bundle's folder in it; empty for the folder itself.
    """
    below = f"{root}/" if root else ""
    return sorted(
        file
        for file in folder.contents
        if file.startswith(below) and file.lower().endswith(SUFFIXES)
    )


def read_configurations(folder: MmarFolder, root: str, findings: Findings) -> list[Document]:
    """Read them all; what cannot be read becomes findings."""
    files = configuration_files(folder, root)
    if len(files) > MOST_FILES:
        message = f"The bundle holds {len(files)} configuration files; {MOST_FILES} are read."
        findings.add("MMAR106", message, file=root)
        return []
    found = (read_configuration(folder, file, findings) for file in files)
    return [document for document in found if document is not None]


def read_configuration(folder: MmarFolder, file: str, findings: Findings) -> Document | None:
    """Read one; None, and a finding, if it is not one object of plain data."""
    if file.lower().endswith(JSON):
        return read_document(folder, file, findings)
    text = read_text(folder, file, findings, folder.limits.text_bytes)
    if text is None:
        return None
    source = read_yaml(text, replace(folder.limits, json_values=_YAML_VALUES))
    for problem in source.problems:
        findings.add(
            "MMAR118",
            problem.message,
            file=file,
            position=source.position(problem.offset),
            pointer=pointer_text(problem.path),
            hint=problem.hint,
        )
    if source.problems or not source.reliable:
        return None
    if not isinstance(source.value, dict):
        message = "The file must hold one mapping."
        findings.add("MMAR402", message, file=file, position=(1, 1))
        return None
    return Document(file, source, source.value)
