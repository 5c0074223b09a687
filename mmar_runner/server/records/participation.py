# SPDX-License-Identifier: Apache-2.0
"""Whose work was left out of a run, and in how many of its rounds it counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mmar_runner.interfaces.update import sender

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def left_out(rounds: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return every client that a round was closed without because its work was no use.

    Who came late, was not drawn, or had an update in a round after all is not among them.

    Args:
        rounds: The entries of ``rounds`` in ``summary.json``.

    Returns:
        Their names, sorted; in how many of how many rounds an update of theirs counted; and
        why the last one that did not, did not.
    """
    took_part: dict[str, int] = {}
    causes: dict[str, str] = {}
    number = 0
    for number, entry in enumerate(rounds, start=1):  # noqa: B007 - the last one is used below
        counted = {sender(one["client"]) for one in entry["contributions"]}
        for client in counted:
            took_part[client] = took_part.get(client, 0) + 1
        causes |= {
            one["client"]: one["reason"]
            for one in entry["rejected"]
            if one["client"] not in counted
        }
    return [
        {"client": name, "rounds": took_part.get(name, 0), "of": number, "reason": causes[name]}
        for name in sorted(causes)
    ]
