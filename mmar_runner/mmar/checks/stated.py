# SPDX-License-Identifier: Apache-2.0
"""What the components of an MMAR state of themselves, with the arguments that they are given."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.interfaces.tags import least_clients, tags_of
from mmar_runner.mmar.components.build import takes_part

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mmar_runner.documents.json_source import JsonPath
    from mmar_runner.mmar.checks.case import Look
    from mmar_runner.mmar.components.build import Parts
    from mmar_runner.mmar.components.resolving import Resolved
    from mmar_runner.mmar.document import Document

#: The list of filters that an update passes on its way out of a site.
OUTBOUND: Final = "outbound_filters"
#: The list of filters that what arrives passes.
INBOUND: Final = "inbound_filters"


@dataclass(frozen=True, slots=True)
class Stated:
    """A declared component, and what its plugin states of it.

    Attributes:
        document: The file that declares it.
        path: Where.
        name: How people call it.
        args: Its arguments, defaults filled in.
        tags: What holds for it (`interfaces.tags.Tag`).
        least: For how many clients it is defined at the least.
        asks_for_clients: Arguments that make these more.
        spends: How it spends privacy, if it does (fact ``spends``).
    """

    document: Document
    path: JsonPath
    name: str
    args: dict[str, Any]
    tags: frozenset[str]
    least: int
    asks_for_clients: tuple[str, ...] = ()
    spends: Mapping[str, Any] = field(default_factory=dict)


def server_part(look: Look, slot: str) -> Stated | None:
    """Return what stands in a slot of the server's file; None if it is not asked for, or empty."""
    if look.server is None:
        return None
    return _stated(look.server, (slot,), look.server_parts.singles.get((slot,)))


def client_part(look: Look, slot: str) -> Stated | None:
    """Return what stands in a slot of the client's file; likewise."""
    if look.client is None:
        return None
    return _stated(look.client, (slot,), look.client_parts.singles.get((slot,)))


def outbound_filters(look: Look) -> Iterator[Stated]:
    """Yield the filters of what leaves a site, in order; of one that is not known, nothing."""
    return client_filters(look, OUTBOUND)


def client_filters(look: Look, *slot: str) -> Iterator[Stated]:
    """Yield the filters of a list of the client's file, in order; likewise."""
    if look.client is not None:
        yield from _listed(look.client, slot, look.client_parts)


def cross_site_filters(look: Look) -> Iterator[Stated]:
    """Yield the filters of a best local model, which leaves for cross-site validation."""
    if look.client is not None and takes_part(look.client):
        yield from client_filters(look, "cross_site_validation", OUTBOUND)


def server_filters(look: Look, slot: str) -> Iterator[Stated]:
    """Yield the server's filters of one direction, in order; of one that is not known, nothing."""
    if look.server is not None:
        yield from _listed(look.server, (slot,), look.server_parts)


def _listed(document: Document, slot: tuple[str, ...], parts: Parts) -> Iterator[Stated]:
    for index, found in enumerate(parts.lists.get(slot, ())):
        part = _stated(document, (*slot, index), found)
        if part is not None:
            yield part


def _stated(document: Document, path: JsonPath, found: Resolved | None) -> Stated | None:
    """Return what a declaration states; None for what is not declared, or cannot be built.

    Code of the MMAR's own states nothing, and is held to nothing.
    """
    if found is None or found.spec is None:
        return None
    if found.description is None:
        return Stated(document, path, found.spec.name, {}, frozenset(), 1)
    properties = found.description.args_schema.get("properties", {})
    defaults = {name: one["default"] for name, one in properties.items() if "default" in one}
    args = {**defaults, **found.spec.args}
    extras = found.description.extras
    return Stated(
        document=document,
        path=path,
        name=found.spec.name,
        args=args,
        tags=tags_of(extras, args),
        least=least_clients(extras, args),
        asks_for_clients=tuple(extras.get("min_clients", {}).get("per", ())),
        spends=extras.get("spends", {}),
    )


def all_filters_known(look: Look) -> bool:
    """Return whether every filter's tags are known: the MMAR's own code may mask too."""
    found = look.client_parts.lists.get((OUTBOUND,), ())
    return all(one.spec is None or one.description is not None for one in found)
