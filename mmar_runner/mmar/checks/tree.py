# SPDX-License-Identifier: Apache-2.0
"""Can combiners add the updates up, where the MMAR is meant for a tree of them?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mmar_runner.federation.composing import Combination, obstacles
from mmar_runner.interfaces.catalog import ComponentKind
from mmar_runner.interfaces.tags import Tag
from mmar_runner.mmar.checks.stated import INBOUND, server_filters, server_part
from mmar_runner.mmar.codes import Severity
from mmar_runner.mmar.components.build import takes_part

if TYPE_CHECKING:
    from mmar_runner.mmar.checks.case import Look
    from mmar_runner.mmar.document import Document

_CODE: Final = "MMAR654"
_FLAT: Final = "or let the sites come to the server itself"
_MENDS: Final = {
    "workflow": f"Remove it, {_FLAT}.",
    "clients_per_round": f"Remove it, {_FLAT}.",
    "inbound_filters": f"Declare what they do as outbound_filters of the clients, {_FLAT}.",
}


def check_tree(look: Look) -> None:
    """Say what a combiner, or its parent, will refuse; nothing is said of a flat federation."""
    server = look.files.server
    said = server is not None and server.value.get("combiners") is True
    if not (said or look.asked.combiners):
        return
    if look.server is not None:
        _server(look, look.server)
    if look.client is not None and takes_part(look.client):
        message = "Cross-site validation is not done below a combiner."
        hint = f"Take no part in it, {_FLAT}."
        look.findings.at(look.client, ("cross_validate",), _CODE, message, hint=hint)


def _server(look: Look, server: Document) -> None:
    for found in obstacles(_combination(look, server)):
        if look.findings.is_wrong_at(server, (found.key,)):
            continue
        message = f"Combiners cannot add these updates up: {found.why}."
        hint = _MENDS.get(found.key) or f"Take {_composing(look)}, {_FLAT}."
        look.findings.at(server, (found.key,), _CODE, message, hint=hint)
    if _is_own(look):
        name = look.server_parts.singles[("aggregator",)]
        assert name.spec is not None  # noqa: S101 - `_is_own` has looked
        message = (
            f"Whether combiners may add up for '{name.spec.name}' is known only once it is built: "
            "one that may not is refused when a combiner starts."
        )
        hint = "See that the class sets composes = True, and that its contract suite passes."
        severity = Severity.WARNING
        look.findings.at(server, ("aggregator",), _CODE, message, hint=hint, severity=severity)


def _combination(look: Look, server: Document) -> Combination:
    """Return what is declared; what is not known, or cannot be, stands in nobody's way."""
    aggregator, workflow = server_part(look, "aggregator"), server_part(look, "workflow")
    tags = frozenset() if workflow is None else workflow.tags
    known = aggregator is not None and not _is_own(look)
    return Combination(
        aggregator="" if aggregator is None else aggregator.name,
        composes=aggregator is None or not known or Tag.COMPOSES in aggregator.tags,
        takes_turns=Tag.ONE_AT_A_TIME in tags,
        waits=Tag.ASYNCHRONOUS not in tags,
        draws=server.value.get("clients_per_round") is not None,
        inbound_filters=tuple(one.name for one in server_filters(look, INBOUND)),
    )


def _is_own(look: Look) -> bool:
    """Return whether the aggregator is a class of which no plugin states anything."""
    found = look.server_parts.singles.get(("aggregator",))
    if found is None or found.spec is None:
        return False
    return found.description is None or found.description.path_prefix


def _composing(look: Look) -> str:
    """Return in words which installed rules compose."""
    names = look.resolver.tagged(ComponentKind.AGGREGATOR, Tag.COMPOSES)
    return " or ".join(names) or "an aggregator that composes"
