# SPDX-License-Identifier: Apache-2.0
"""Tells whoever watches, the log and the audit log that a model was lost, and what happens now."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from mmar_runner.interfaces.observer import Observation, Topic

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from mmar_runner.interfaces.observer import Observer
    from mmar_runner.security.audit.log import AuditLog
    from mmar_runner.server.records.record import LostModel, Rejected

_log = logging.getLogger(__name__)

#: Letters of a digest that are shown.
_SHORT: Final = 12


def tell(lost: Iterable[LostModel], models: Path, observer: Observer, audit: AuditLog) -> None:
    """Tell what was lost.

    Args:
        lost: What was found just now.
        models: The folder it lies in.
        observer: Whoever watches.
        audit: Where what nobody decided is noted, too.

    Raises:
        AuditError: It cannot be written down.
    """
    for one in lost:
        message = f"{models / one.file} {condition(one)}: {_consequence(one)}"
        _log.warning("%s", message)
        facts = {**one.to_json(), "message": message}
        observer.observe(Observation(Topic.MODEL_LOST, facts))
        facts = {"round": one.round, "file": one.file, "cause": one.reason}
        digests = {"expected": one.expected, "found": one.found}
        audit.record("model.lost", who="", decision="noted", **facts, **digests)


def tell_updates(lost: Iterable[Rejected], observer: Observer) -> None:
    """Tell whose accepted updates were lost, and are asked for again."""
    for one in lost:
        _log.warning("%s of round %d: %s", one.client, one.round, one.message)
        observer.observe(Observation(Topic.UPDATE_REFUSED, one.to_json()))


def condition(lost: LostModel) -> str:
    """Say what is wrong with a file: what follows its name."""
    if lost.reason == "damaged":
        found, expected = lost.found[:_SHORT], lost.expected[:_SHORT]
        return f"is damaged (sha256 {found}..., recorded is {expected}...)"
    if lost.reason == "undone":
        return "is the result of a round that is done again"
    return f"is {lost.reason} (recorded is sha256 {lost.expected[:_SHORT]}...)"


def _consequence(lost: LostModel) -> str:
    if not lost.file.startswith(("round_", "state_")):
        return "the best result that is still there takes its place, if there is one"
    kept = f", with the kept updates of {', '.join(lost.kept)}" if lost.kept else ""
    return f"the run goes back, and round {lost.round - 1} is done again{kept}"
