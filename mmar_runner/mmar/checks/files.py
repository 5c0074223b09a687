# SPDX-License-Identifier: Apache-2.0
"""Are the files there that must be, and do paths stay where they belong?"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from mmar_runner.documents.words import did_you_mean
from mmar_runner.mmar.checks.checkpoint import check_checkpoint
from mmar_runner.mmar.checks.data_lists import holds_samples, lists_samples, may_list
from mmar_runner.mmar.checks.names import check_names
from mmar_runner.mmar.checks.settings import check_settings
from mmar_runner.mmar.codes import Severity
from mmar_runner.mmar.sources.configuration import (
    CLIENT,
    ENVIRONMENT,
    SERVER,
    TRAIN,
    VALIDATION,
    VALIDATION_CKPT,
)
from mmar_runner.mmar.sources.keys import COMMENT
from mmar_runner.mmar.sources.variables import VARIABLE

if TYPE_CHECKING:
    from mmar_runner.documents.json_source import JsonPath
    from mmar_runner.mmar.checks.case import Look
    from mmar_runner.mmar.document import Document

_DATA_LIST_KEY = re.compile(r"data_?list|dataset_json", re.IGNORECASE)
_DATA_LIST_FILE = re.compile(
    r"(.*/)?(dataset|data_?list)[^/]*\.(json|jsonl|csv|tsv|txt|ya?ml)", re.IGNORECASE
)
#: A folder before a name, as in ``{MMAR_ROOT}/resources/list.json``.
_ROOT = re.compile(r"\{\w+\}/+")
_KNOWN = frozenset({CLIENT, ENVIRONMENT, SERVER, TRAIN, VALIDATION, VALIDATION_CKPT})
#: So many undefined variables have one cause if environment.json is not there.
_MANY = 3
_CHECKPOINT = "ckpt_preload_path"


def check_files(look: Look) -> bool:
    """Check files and paths; return True if the MMAR brings its own data list."""
    _required(look)
    for document in _every_document(look):
        _paths(look, document)
    _checkpoint(look)
    check_settings(look)
    _environment(look)
    check_names(look)
    return _data_list(look)


def _required(look: Look) -> None:
    for file, side in ((SERVER, "client"), (CLIENT, "server")):
        if look.side == side or file in look.folder.files or look.findings.mentions(file):
            continue
        hint = _elsewhere(look, file) or "Add the file; `mmar-runner schema` shows what it holds."
        look.findings.add("MMAR102", f"{file} is missing.", file=file, hint=hint)


def _elsewhere(look: Look, file: str) -> str | None:
    """Return a hint if a file seems to lie in a wrong place or to have a misspelt name."""
    name = file.rpartition("/")[2]
    found = [f for f in look.folder.files if f.rpartition("/")[2] == name]
    if found:
        return f"Move {found[0]} to config/."
    if (look.folder.root / file).is_dir():
        return f"{file} is a folder; put the file there in its place."
    strange = [f for f in look.folder.files if f.startswith("config/") and f not in _KNOWN]
    near = did_you_mean(name, [f.rpartition("/")[2] for f in strange])
    return f"{near} Rename it." if near else None


def _every_document(look: Look) -> list[Document]:
    documents = look.files.documents()
    environment = look.files.parsed.get(ENVIRONMENT)
    return documents if environment is None else [*documents, environment]


def _paths(look: Look, document: Document) -> None:
    raw = look.files.parsed[document.file]
    for path, text in _strings(document.value, ()):
        if ".." not in text or path[-1:] == ("name",):  # a name is no path
            continue
        written = raw.get(document.origin(path))
        if not isinstance(written, str) or ".." not in written:
            continue  # a variable brought it in, and is reported where it is defined
        plain = posixpath.normpath(text.replace("\\", "/"))
        leaves = plain == ".." or plain.startswith("../")
        if leaves and not look.findings.has_at(document, path):
            message = f"The path {text!r} leaves the folder."
            hint = "Name a file in the MMAR, or an absolute path by a variable of the site."
            look.findings.at(document, path, "MMAR610", message, hint=hint)


def _checkpoint(look: Look) -> None:
    server = look.server
    if server is None:
        return
    name, path = server.value.get(_CHECKPOINT), (_CHECKPOINT,)
    if server.is_unresolved(path):
        look.findings.raise_severity(server, path, "MMAR301")
        return
    if not isinstance(name, str) or not name:
        return
    if "://" in name:
        message = f"{name!r} is an address, not a path."
        look.findings.at(server, path, "MMAR610", message, hint="Put the file into the MMAR.")
    elif ".." in name:
        return  # which is said of every path
    elif not posixpath.isabs(name) and not look.folder.inside(name):
        message = f"The checkpoint {name!r} is not in the MMAR."
        hint = did_you_mean(name, [f for f in look.folder.contents if f.startswith("models/")])
        hint = hint or "Add the file, most fittingly to models/, or correct the path."
        look.findings.at(server, path, "MMAR621", message, hint=hint)
    else:
        check_checkpoint(look, server, name)


def _environment(look: Look) -> None:
    """Say once that environment.json is not there, not with every variable."""
    if ENVIRONMENT in look.files.parsed:
        return
    undefined = look.findings.with_code("MMAR301")
    if look.findings.mentions(ENVIRONMENT):
        look.findings.remove(undefined)  # it is there and cannot be read, which was said
        return
    names = sorted({name for f in undefined for name in VARIABLE.findall(f.message)})
    if len(names) < _MANY:
        return
    look.findings.remove(undefined)
    severity = min((f.severity for f in undefined), key=list(Severity).index)
    message = f"{ENVIRONMENT} is missing, and nothing else defines {', '.join(names)}."
    hint = _elsewhere(look, ENVIRONMENT) or "Add the file, or give the variables with --set."
    look.findings.add("MMAR102", message, file=ENVIRONMENT, hint=hint, severity=severity)


def _data_list(look: Look) -> bool:
    """Return True, and say where, if a data list lies in the MMAR."""
    found: set[str] = set()
    for document in _every_document(look):
        for path, text in _strings(document.value, ()):
            listed = path and _DATA_LIST_KEY.search(str(path[-1]))
            file = posixpath.normpath(_ROOT.sub("", text, count=1))
            if listed and file not in look.folder.contents:
                _missing_list(look, document, path, file)
            elif listed:
                if file not in found:
                    message = f"The MMAR brings its own data list, {file}."
                    look.findings.at(document, path, "MMAR615", message)
                found.add(file)
    handed = (look.files.train, look.files.validation)
    for document in (one for one in handed if one is not None):
        if holds_samples(document.value):
            look.findings.at(document, (), "MMAR615", "The file holds a data list.")
            found.add(document.file)
    for file in look.folder.contents:
        if file not in found and (_DATA_LIST_FILE.fullmatch(file) or _lists_data(look, file)):
            look.findings.add("MMAR615", "The MMAR brings its own data list.", file=file)
            found.add(file)
    return bool(found)


def _missing_list(look: Look, document: Document, path: JsonPath, file: str) -> None:
    """Say it of a data list that should lie in the MMAR; neither an address nor a site's file."""
    if document.file == ENVIRONMENT or not may_list(file):
        return
    if file.startswith(("/", "../")) or "{" in file or ":/" in file or "." not in file:
        return
    message = f"The data list {file!r} is not in the MMAR."
    hint = did_you_mean(file, look.folder.contents) or "Add it, or name the site's by a variable."
    look.findings.at(document, path, "MMAR621", message, hint=hint)


def _lists_data(look: Look, file: str) -> bool:
    """Return True for a data list by any other name, hidden or not."""
    if not may_list(file) or file in _KNOWN:
        return False
    try:
        with look.folder.open(file) as stream:
            return lists_samples(file, stream.read(look.folder.limits.json_bytes))
    except OSError:
        return False  # the listing says so


def _strings(value: Any, path: JsonPath) -> Iterator[tuple[JsonPath, str]]:
    """Yield every text of a value, with its path; comments are left out."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, child in value.items():
            if not key.startswith(COMMENT):
                yield from _strings(child, (*path, key))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _strings(child, (*path, index))
