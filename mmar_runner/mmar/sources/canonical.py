# SPDX-License-Identifier: Apache-2.0
"""Bringing the accepted spellings of generation 4 into one form.

Clara's keys may stand in ``servers[0]`` or at the top level, ``persistor`` means
``model_persistor``, and a client's filters may stand in ``client`` or beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmar_runner.mmar import aliases
from mmar_runner.mmar.sources.draft import Draft

if TYPE_CHECKING:
    from mmar_runner.mmar.document import Document
    from mmar_runner.mmar.finding import Findings

_TASK: tuple[str | int, ...] = ("servers", 0)
_TASK_KEYS = (
    "min_num_clients",
    "max_num_clients",
    "wait_after_min_clients",
    "heart_beat_timeout",
    "start_round",
    "num_rounds",
)


def canonical_server(document: Document, findings: Findings) -> None:
    """Bring a server file of generation 4 into canonical form."""
    draft = Draft(document, findings)
    if isinstance(document.get(_TASK), dict):
        for key in _TASK_KEYS:
            if key in document.value:
                draft.move((key,), (*_TASK, key))
        if "exclude_vars" in draft.object_at(_TASK):
            draft.move((*_TASK, "exclude_vars"), ("exclude_vars",))
    _validation_on_server(draft)
    _alias(draft, "persistor", "model_persistor")
    name = document.value.get("workflow")
    if isinstance(name, str) and not document.is_unresolved(("workflow",)):
        draft.put(("workflow",), {"name": name}, ("workflow",))
        document.moves[("workflow", "name")] = ("workflow",)
    for key in ("shareable_generator", "server_trainer", "admin_cmd_modules", "platform"):
        _idle(draft, (key,))
    for key in list(draft.object_at(_TASK)):
        _idle(draft, (*_TASK, key))
    _certificates(draft, _TASK)


def canonical_client(document: Document, findings: Findings) -> None:
    """Bring a client file of generation 4 into canonical form."""
    draft = Draft(document, findings)
    client = draft.object_at(("client",))
    for key in ("inbound_filters", "outbound_filters"):
        if key in client:
            draft.move(("client", key), (key,))
    if document.value.get("model_validator") and "cross_site_validation" in document.value:
        draft.move(("model_validator",), ("cross_site_validation", "model_validator"))
    _idle(draft, ("platform",))
    for key in list(client):
        _idle(draft, ("client", key))
    _certificates(draft, ("client",))


def _alias(draft: Draft, old: str, new: str) -> None:
    if old in draft.document.value:
        draft.note((old,), "MMAR210", f"'{old}' is an older name of '{new}'.")
        draft.move((old,), (new,))


def _idle(draft: Draft, path: tuple[str | int, ...]) -> None:
    """Drop a key that is not needed here, with a note."""
    reason = aliases.IDLE_KEYS.get(str(path[-1]))
    if reason and path[-1] in draft.object_at(path[:-1]):
        draft.note(path, "MMAR211", f"'{path[-1]}' has no effect: {reason}.")
        draft.drop(path)


def _certificates(draft: Draft, parent: tuple[str | int, ...]) -> None:
    for key in aliases.CERTIFICATE_KEYS:
        if key in draft.object_at(parent):
            message = f"'{key}' has no effect: certificates come from the start-up kit."
            draft.note((*parent, key), "MMAR612", message)
            draft.drop((*parent, key))


def _validation_on_server(draft: Draft) -> None:
    """Turn ``validate_on_server`` and ``num_rounds_per_valid`` into ``validate_every``."""
    task = draft.object_at(_TASK)
    wanted = task.get("validate_on_server") is True
    for key in ("validate_on_server", "num_rounds_per_valid"):
        if key not in task:
            continue
        idle = "has no effect: the server does not validate"
        becomes = "is now 'validate_every'" if wanted else idle
        draft.note((*_TASK, key), "MMAR210", f"'{key}' {becomes}.")
    if wanted and "validate_every" not in draft.document.value:
        key = "num_rounds_per_valid" if "num_rounds_per_valid" in task else "validate_on_server"
        every = task.get("num_rounds_per_valid", 1)
        draft.put(("validate_every",), every, (*_TASK, key))
    if isinstance(task.get("validate_on_server"), bool):
        draft.drop((*_TASK, "validate_on_server"))
        draft.drop((*_TASK, "num_rounds_per_valid"))
