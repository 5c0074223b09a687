# SPDX-License-Identifier: Apache-2.0
"""Files and variables whose name was probably meant to be another one, or that nobody uses."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from mmar_runner.documents.schema_store import load_schema
from mmar_runner.documents.words import did_you_mean
from mmar_runner.mmar.checks.logging_config import LOG_CONFIG
from mmar_runner.mmar.checks.settings import known_names
from mmar_runner.mmar.sources.configuration import (
    CLIENT,
    ENVIRONMENT,
    SERVER,
    TRAIN,
    VALIDATION,
    VALIDATION_CKPT,
)
from mmar_runner.mmar.sources.keys import COMMENT
from mmar_runner.mmar.sources.variables import misnamed, no_name

if TYPE_CHECKING:
    from mmar_runner.mmar.checks.case import Look
    from mmar_runner.mmar.document import Document

#: How alike a name must be for a slip.
_NEAR: Final = 0.88
_FILES: Final = (SERVER, CLIENT, TRAIN, VALIDATION, ENVIRONMENT, LOG_CONFIG)
#: Other files of archives, which nobody here reads.
_OTHERS: Final = frozenset(
    {VALIDATION_CKPT, "config/config_finetune.json", "config/config_inference.json"}
)
#: How programs name a copy: ``NAME (1).json``, ``NAME - Copy.json``, ``Copy of NAME.json``.
_COPY: Final = re.compile(
    r"config/(?:copy of )?(?P<name>[a-z_]+?)"
    r"(?: ?\(\d{1,3}\)|[ _-]{0,3}copy(?: ?\(?\d{1,3}\)?)?)?\.json",
    re.IGNORECASE,
)
#: The runner's own, which nothing overrides.
_CLIENT_NAME: Final = "CLIENT_NAME"
#: Variables of archives that their own programs read.
_OF_ARCHIVES: Final = re.compile(
    r"CLARA_\w+|MMAR_\w+|\w+_DATALIST_KEY|(IN|OUT)PUT_CHANNELS|PRETRAIN\w*"
)


def check_names(look: Look) -> None:
    """Report names of files and variables that look like slips."""
    _files(look)
    _copies(look)
    if {VALIDATION, VALIDATION_CKPT} <= look.folder.files.keys():
        message = f"This file is not read: {VALIDATION} is."
        look.findings.add("MMAR644", message, file=VALIDATION_CKPT)
    environment = look.files.parsed.get(ENVIRONMENT)
    if environment is not None:
        _variables(look, environment)


def _files(look: Look) -> None:
    for file in look.folder.files:
        if file in _FILES or file in _OTHERS or file.split("/")[0] not in {"config", "resources"}:
            continue
        lower = {known.lower(): known for known in _FILES if known not in look.folder.files}
        near = get_close_matches(file.lower(), lower, n=1, cutoff=_NEAR)
        if near and not look.findings.mentions(lower[near[0]]) and not look.findings.mentions(file):
            meant = lower[near[0]]
            message = f"Nobody reads this file, and there is no {meant}."
            look.findings.add("MMAR109", message, file=file, hint=f"Rename it to {meant}.")


def _copies(look: Look) -> None:
    """Report what a browser or a file manager makes of a file that is there already."""
    for file in look.folder.files:
        found = _COPY.fullmatch(file)
        if found is None:
            continue
        original = f"config/{found['name']}.json"
        known = original in look.folder.files and original in {*_FILES, *_OTHERS}
        if known and original != file:
            message = f"Nobody reads this file: it looks like a copy of {original}."
            hint = f"Remove it, or put it in the place of {original}."
            look.findings.add("MMAR109", message, file=file, hint=hint)


def _variables(look: Look, environment: Document) -> None:
    known = load_schema("environment").get("properties", {})
    used = known_names(look)
    # A file that is not there may use any of them.
    partial = not {SERVER, CLIENT} <= look.files.parsed.keys()
    quiet = partial or look.byoc.present or look.findings.has_faults()
    told = {finding.hint for finding in look.findings.with_code("MMAR301")}
    for name in environment.value:
        if name.startswith(COMMENT):
            continue
        message = hint = None
        if name == _CLIENT_NAME:
            message = f"'{name}' is the runner's own: what stands here is not taken."
            hint = "Remove it."
        elif no_name(name):
            if misnamed(name) in told:
                continue  # said where it is used
            message = f"{name!r} cannot be the name of a variable."
            hint = "Write letters, digits and _, no digit first."
        if message is not None:
            look.findings.at(environment, (name,), "MMAR404", message, hint=hint, key=True)
        elif not (quiet or name in known or name in used or _OF_ARCHIVES.fullmatch(name)):
            message = f"No file uses the variable {name}."
            hint = did_you_mean(name, used - environment.value.keys()) or "Remove it, or use it."
            look.findings.at(environment, (name,), "MMAR306", message, hint=hint, key=True)
