# SPDX-License-Identifier: Apache-2.0
"""Reads a list of a site's images, in the form of the Medical Segmentation Decathlon.

One JSON object holds a list of samples under each key, such as ``training``; a sample is an
object with the files ``image`` and ``label``, or one file alone. Whatever is not there is said
with its place in the list before anything is loaded.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.errors import TaskFailedError

if TYPE_CHECKING:
    from mmar_runner.interfaces.client_trainer import TrainerContext

#: The keys of a data set's declaration.
LIST_FILE: Final = "data_list_file_path"
BASE_FOLDER: Final = "data_file_base_dir"
LIST_KEY: Final = "data_list_key"

_CLASSIFICATION: Final = "classification"
_HINT: Final = "set the variables that lead to the site's data: --set NAME=VALUE"

Samples = list[dict[str, Any]]


def read_data_list(declaration: Mapping[str, Any], context: TrainerContext) -> Samples:
    """Return a data set's samples, with whole paths.

    Args:
        declaration: Of the data set.
        context: Relative paths are of its MMAR; its variable PROCESSING_TASK says whether labels
            are files.

    Raises:
        TaskFailedError: The file, the key or a sample's file is missing, or is something else.
    """
    place = _List(_file(declaration, context), _key(declaration))
    base = declaration.get(BASE_FOLDER)
    folder = context.mmar / str(base) if base else place.file.parent
    labels_are_files = context.variables.get("PROCESSING_TASK") != _CLASSIFICATION
    found = [
        _Sample(place, number, folder).paths(one, labels_are_files=labels_are_files)
        for number, one in enumerate(place.samples())
    ]
    missing = [said for one in found for said in one.missing]
    if missing:
        more = f", and {len(missing) - 1} more files" if len(missing) > 1 else ""
        raise TaskFailedError(f"{missing[0]} is missing{more}", hint=_HINT)
    return [one.values for one in found]


def _file(declaration: Mapping[str, Any], context: TrainerContext) -> Path:
    written = declaration.get(LIST_FILE)
    if not isinstance(written, str) or not written:
        raise TaskFailedError(f"the data set names no '{LIST_FILE}'", hint=_HINT)
    return context.mmar / written


def _key(declaration: Mapping[str, Any]) -> str:
    """Return which list is meant: a site must not measure on what it trains because of a slip.

    Raises:
        TaskFailedError: Nothing says it.
    """
    key = declaration.get(LIST_KEY)
    if not isinstance(key, str) or not key:
        hint = f'write "{LIST_KEY}": "training" or "validation" beside "{LIST_FILE}"'
        raise TaskFailedError(f"the data set names no '{LIST_KEY}'", hint=hint)
    return key


@dataclass(frozen=True, slots=True)
class _List:
    """One list in a file.

    Attributes:
        file: Where it stands.
        key: Under which key.
    """

    file: Path
    key: str

    def samples(self) -> list[Any]:
        """Return the list.

        Raises:
            TaskFailedError: There is none, or it is empty.
        """
        content = self._content()
        if not isinstance(content, dict):
            raise TaskFailedError(f"the data list {self.file} is no JSON object")
        found = content.get(self.key)
        if isinstance(found, list) and found:
            return found
        if self.key in content:
            what = "is empty" if found == [] else "is no list"
            raise TaskFailedError(f"'{self.key}' of the data list {self.file} {what}")
        there = ", ".join(f"'{key}'" for key, value in content.items() if isinstance(value, list))
        raise TaskFailedError(
            f"the data list {self.file} has no '{self.key}'",
            hint=f"its lists are {there}" if there else "it has no list at all",
        )

    def _content(self) -> Any:
        try:
            return json.loads(self.file.read_bytes())
        except OSError as error:
            message = f"the data list {self.file} cannot be read: {error.strerror}"
            raise TaskFailedError(message, hint=_HINT) from error
        except ValueError as error:
            message = f"the data list {self.file} is no JSON: {error}"
            raise TaskFailedError(message) from error


@dataclass(frozen=True, slots=True)
class _Found:
    values: dict[str, Any]
    missing: list[str]


@dataclass(frozen=True, slots=True)
class _Sample:
    """One sample of a list.

    Attributes:
        place: The list.
        number: Which sample, from 0.
        folder: Where its files are.
    """

    place: _List
    number: int
    folder: Path

    def paths(self, written: Any, *, labels_are_files: bool) -> _Found:
        """Return what is written with whole paths, and which files are missing.

        Raises:
            TaskFailedError: It is no sample.
        """
        sample = {"image": written} if isinstance(written, str) else written
        if not isinstance(sample, dict):
            message = f"{self._where('')} is a {type(sample).__name__}, and no object"
            raise TaskFailedError(message)
        must = {"image", "label"} if labels_are_files else {"image"}
        values, missing = {}, []
        for name, value in sample.items():
            values[name] = self._whole(value, must_be_there=name in must)
            if name in must:
                missing += [
                    f"{self._where(f'.{name}')}: {path}"
                    for path in _texts(values[name])
                    if not Path(path).exists()
                ]
        return _Found(values, missing)

    def _whole(self, value: Any, *, must_be_there: bool) -> Any:
        """Return a path or several as whole ones; what else a sample has stays what it is."""
        if isinstance(value, list) and value and all(isinstance(one, str) for one in value):
            return [self._whole(one, must_be_there=must_be_there) for one in value]
        if not isinstance(value, str):
            return value
        path = self.folder / value
        return str(path) if must_be_there or path.exists() else value

    def _where(self, name: str) -> str:
        return f"{self.place.file}: {self.place.key}[{self.number}]{name}"


def _texts(value: Any) -> list[str]:
    return [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str)]
