# SPDX-License-Identifier: Apache-2.0
"""Telling the TensorFlow workflows of generation 3.1 from those that can run here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mmar_runner.mmar.older.entry import class_of
from mmar_runner.mmar.older.tensorflow import MARKS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mmar_runner.documents.json_source import JsonPath
    from mmar_runner.mmar.document import Document

#: Where workflows of that time declare parts; in files of validation at the top level.
_SECTIONS: Final = ("train", "validate")
_PIPELINE: Final = "image_pipeline"
#: What no workflow of TensorFlow had.
_OF_TODAY: Final = frozenset({"dataset", "dataloader"})
_LISTS: Final = (
    *("pre_transforms", "post_transforms", "label_transforms", "metrics", "val_metrics"),
    *("writers", "handlers"),
)
_SINGLES: Final = ("model", "loss", "optimizer", "inferer", "model_loader", "lr_policy")


def is_own_trainer(client: Document | None) -> bool:
    """Return True if a client file names a trainer by the path of somebody's own class."""
    declared = client.value.get("client_trainer") if client is not None else None
    path = declared.get("path") if isinstance(declared, dict) else None
    return path is not None and class_of(path) is None


def mark_of(value: Mapping[str, Any]) -> JsonPath | None:
    """Return where a workflow file shows that it is TensorFlow's, or None."""
    for place, section in _parts_of(value):
        if _PIPELINE in section:
            return (*place, _PIPELINE)
    for place, section in _parts_of(value):
        if not section.keys().isdisjoint(_OF_TODAY):
            continue  # then a name is a slip
        for path, part in _declared(section):
            name = part.get("name")
            if isinstance(name, str) and name.partition("#")[0] in MARKS:
                return (*place, *path)
    return None


def _parts_of(value: Mapping[str, Any]) -> Iterator[tuple[JsonPath, Mapping[str, Any]]]:
    for key in _SECTIONS:
        section = value.get(key)
        if isinstance(section, dict):
            yield (key,), section
    yield (), value


def _declared(section: Mapping[str, Any]) -> Iterator[tuple[JsonPath, Mapping[str, Any]]]:
    for key in _SINGLES:
        part = section.get(key)
        if isinstance(part, dict):
            yield (key,), part
    for key in _LISTS:
        items = section.get(key)
        for index, part in enumerate(items if isinstance(items, list) else ()):
            if isinstance(part, dict):
                yield (key, index), part
