# SPDX-License-Identifier: Apache-2.0
"""Is a file, by what it holds, a list of samples? A heuristic, which says yes rather often.

JSON is parsed, so that neither escapes, nor encodings, nor other keys hide a list; of other
texts the lines are looked at. Who wants to hide a list from it can: a list is only words.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Files that a list may be; others are pictures, models and archives. A name without a
#: suffix is looked into as well.
_TEXTS: Final = frozenset(
    {".json", ".jsonl", ".csv", ".tsv", ".txt", ".yaml", ".yml", ".md", ".rst", ".log", ".xml"}
    | {".cfg", ".conf", ".config", ".ini", ".toml", ".html", ".data", ".index", ".meta", ".svg"}
)
_TABLES: Final = (".csv", ".tsv")
_PARTS: Final = frozenset({"training", "validation", "testing", "test", "train", "val"})
_SAMPLE: Final = frozenset({"image", "label"})
_SUFFIX: Final = re.compile(
    r"\.(?:nii|nii\.gz|dcm|dicom|mha|mhd|nrrd|img|hdr|png|jpe?g|bmp|gif|tiff?|svs|ndpi|npy|npz"
    r"|h5|hdf5|mat|zarr|tfrecord|wav|flac|mp4|avi|edf)$",
    re.IGNORECASE,
)
#: A path without a suffix, as samples are numbered.
_NUMBERED: Final = re.compile(r"[\w.-]+(?:/[\w.-]+)+")
_YAML: Final = re.compile(
    r"^(?:training|validation|testing|test|train|val)[ \t]{0,9}:[ \t]{0,9}\r?\n[ \t]{0,9}- ",
    re.MULTILINE,
)
_CELLS: Final = re.compile(r"[,;|\s]+")
_QUOTES: Final = " \t\r\"'[]{}()<>"
#: So many lines, of so many characters, tell what a text is.
_LINES: Final = 5000
_LINE_CHARACTERS: Final = 2000


def may_list(file: str) -> bool:
    """Return True for a file that is worth looking into, by its name."""
    name = file.rpartition("/")[2]
    stem, dot, suffix = name.rpartition(".")
    return not (dot and stem) or f".{suffix.lower()}" in _TEXTS


def lists_samples(file: str, data: bytes) -> bool:
    """Return True if a file lists samples.

    Args:
        file: Its name.
        data: Its content, or the first part of it.
    """
    text = data.decode(json.detect_encoding(data), errors="replace").lstrip("\ufeff")
    if any(holds_samples(value, _PARTS) for value in _json_values(text)):
        return True
    lines = [line[:_LINE_CHARACTERS] for line in text.split("\n", _LINES)[:_LINES]]
    return _YAML.search(text) is not None or _lines_list(file, lines)


def holds_samples(value: Any, parts: frozenset[str] = frozenset()) -> bool:
    """Return True if a JSON value holds a list of samples at any depth, under any key.

    Args:
        value: The value.
        parts: Keys, in lower case, under which any list is one of samples.
    """
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            pending += item.values()
            if any(isinstance(v, list) and k.strip().lower() in parts for k, v in item.items()):
                return True
        elif isinstance(item, list):
            if any(_is_sample(one) for one in item):
                return True
            pending += item
    return False


def _is_sample(item: Any) -> bool:
    if isinstance(item, str):
        return _SUFFIX.search(item.strip()) is not None
    if not isinstance(item, dict):
        return False
    values = [v for child in item.values() for v in (child if isinstance(child, list) else [child])]
    named = any(isinstance(value, str) and _names_file(value.strip()) for value in values)
    return named or _is_record(item)


def _is_record(item: Any) -> bool:
    """Return True for an object with a half of a sample."""
    return isinstance(item, dict) and bool(_SAMPLE & {key.strip().lower() for key in item})


def _names_file(text: str) -> bool:
    numbered = any(c.isdigit() for c in text) and _NUMBERED.fullmatch(text) is not None
    return numbered or _SUFFIX.search(text) is not None


def _json_values(text: str) -> Iterator[Any]:
    """Yield the JSON value that a text is, or those of its lines."""
    start = text.lstrip()[:1]
    if start not in {"{", "["}:
        return
    whole = _parsed(text)
    if whole is None:
        yield [_parsed(line) for line in text.split("\n") if line.lstrip()[:1] in {"{", "["}]
    else:
        yield [whole] if _is_record(whole) else whole


def _parsed(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_every_member)
    except (RecursionError, ValueError):
        return None  # nobody else can read it either


def _every_member(members: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object; what stands twice in it is kept as a list."""
    value = dict(members)
    return value if len(value) == len(members) else {**value, "": [v for _, v in members]}


def _lines_list(file: str, lines: list[str]) -> bool:
    """Return True for a table of samples, and where most lines name one."""
    filled = [line for line in lines if line.strip()]
    if not filled:
        return False
    header = {cell.strip(_QUOTES).lower() for cell in re.split(r"[,;|\t]", filled[0])}
    if header >= _SAMPLE:
        return True
    naming = sum(_line_names(line) for line in filled)
    table = file.lower().endswith(_TABLES)
    return naming > 0 and (table or (naming > 1 and 2 * naming >= len(filled)))


def _line_names(line: str) -> bool:
    return any(_SUFFIX.search(cell.strip(_QUOTES)) for cell in _CELLS.split(line))
