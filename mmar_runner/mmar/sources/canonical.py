# SPDX-License-Identifier: Apache-2.0
"""Bringing the accepted spellings of generation 4 into one form.

Clara's keys may stand in ``servers[0]`` or at the top level, and a client's filters in
``client`` or beside it: one is as good as the other, and needs no note. What does need one was
done by `upgrade` and `renewal` before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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
    name = document.value.get("workflow")
    if isinstance(name, str) and not document.is_unresolved(("workflow",)):
        draft.put(("workflow",), {"name": name}, ("workflow",))
        document.moves[("workflow", "name")] = ("workflow",)


def canonical_client(document: Document, findings: Findings) -> None:
    """Bring a client file of generation 4 into canonical form."""
    draft = Draft(document, findings)
    client = draft.object_at(("client",))
    for key in ("inbound_filters", "outbound_filters"):
        if key in client:
            draft.move(("client", key), (key,))
    if document.value.get("model_validator") and "cross_site_validation" in document.value:
        draft.move(("model_validator",), ("cross_site_validation", "model_validator"))
