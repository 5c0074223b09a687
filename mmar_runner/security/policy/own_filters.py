# SPDX-License-Identifier: Apache-2.0
"""A site's own filters: without every one of them, as it was meant, nothing runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mmar_runner.security.steps import accepts, refuses

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mmar_runner.documents.json_source import JsonPath
    from mmar_runner.security.decision import Step
    from mmar_runner.security.policy.site_policy import SitePolicy

FILTERS: Final = "site_policy.mandatory_filters"


@dataclass(frozen=True, slots=True)
class FilterFault:
    """Why one of a site's own filters would not do what the site wants.

    Attributes:
        way: ``outbound`` or ``inbound``.
        path: Where in the list of that direction: the filter's index, and on from there.
        reason: A stable id.
        message: What is wrong, one sentence.
        hint: The mend, or None.
        at_key: True if ``path`` is meant as a key, not as its value.
    """

    way: str
    path: JsonPath
    reason: str
    message: str
    hint: str | None = None
    at_key: bool = False


def filter_steps(policy: SitePolicy, faults: Iterable[FilterFault]) -> list[Step]:
    """Return the answers about a site's own filters: each fault's, or one a direction."""
    refused = [_refusal(policy, fault) for fault in faults]
    return refused or [
        _told(policy, way) for way, named in policy.mandatory_filters.items() if named
    ]


def _refusal(policy: SitePolicy, fault: FilterFault) -> Step:
    place = policy.place("mandatory_filters", fault.way, *fault.path, key=fault.at_key)
    return refuses(FILTERS, fault.reason, fault.message, policy=place, hint=fault.hint)


def _told(policy: SitePolicy, way: str) -> Step:
    names = ", ".join(str(one["name"]) for one in policy.mandatory_filters[way])
    place = policy.place("mandatory_filters", way)
    message = f"After an MMAR's own {way} filters the site runs {names}."
    return accepts(FILTERS, message, policy=place)
