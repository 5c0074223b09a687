# SPDX-License-Identifier: Apache-2.0
"""Telling the generations of archives apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmar_runner.mmar.spec import Generation

if TYPE_CHECKING:
    from mmar_runner.mmar.document import Document
    from mmar_runner.mmar.finding import Findings

_FOREIGN_KEYS = frozenset({"workflows", "components", "executors", "task_data_filters"})
_FOREIGN_VERSION = 2
_OWN_VERSION = 1
_OLDER_SERVER_KEYS = frozenset({"pre_processors", "post_processors", "model_saver"})
#: Keys that tell an older file even where it names its trainer.
_ONLY_OLDER = frozenset({"privacy", "pre_processors", "post_processors", "req_processors"})
_OLDER_CLIENT_KEYS = frozenset(
    {
        "local_epochs",
        "steps_aggregation",
        "exclude_vars",
        "cross_site_validate",
        "privacy",
        "pre_processors",
        "post_processors",
        "req_processors",
        "model_reader_writer",
        "model_validator",
    }
)


def generation_of(document: Document, findings: Findings) -> Generation | None:
    """Return the generation of a server or client file; None, and a finding, if foreign."""
    value = document.value
    version = value.get("format_version")
    if version == _FOREIGN_VERSION or (version is None and len(_FOREIGN_KEYS & value.keys()) > 1):
        path = ("format_version",) if version is not None else ()
        message = (
            "This is a job of NVIDIA FLARE 2 (format_version 2: workflows, executors,"
            " components), not an MMAR."
        )
        hint = "Write an MMAR of format_version 1: aggregator, filters, client_trainer."
        findings.at(document, path, "MMAR201", message, hint=hint)
        return None
    if version is not None and (isinstance(version, bool) or version != _OWN_VERSION):
        message = f"The format_version {version!r} is unknown."
        findings.at(document, ("format_version",), "MMAR202", message, hint="Write 1.")
        return None
    if version is None and _looks_older(document):
        return Generation.CLARA_3
    return Generation.CLARA_4


def _looks_older(document: Document) -> bool:
    value, client = document.value, document.get(("client",), {})
    if _OLDER_SERVER_KEYS & value.keys() or "admin_cmd_modules" in value:
        return True
    if not isinstance(client, dict):
        return False
    older = _OLDER_CLIENT_KEYS if "client_trainer" not in value else _ONLY_OLDER
    return bool(older & client.keys())
