# SPDX-License-Identifier: Apache-2.0
"""Makes the parts of a run that know of a tree: of combiners below, and of a parent above."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mmar_runner.errors import RunFailedError
from mmar_runner.federation.assignment import AssignedSites, AssignmentTable
from mmar_runner.federation.sites import NO_SITES, Sites
from mmar_runner.server.members.controller import Controller
from mmar_runner.server.members.tree import Tree, obstacle

if TYPE_CHECKING:
    from mmar_runner.interfaces.observer import Observer
    from mmar_runner.server.components.building import ServerComponents
    from mmar_runner.server.gate.guard import Guard
    from mmar_runner.server.members.members import Members
    from mmar_runner.server.opening import OpenedRun
    from mmar_runner.server.records.run_state import RunState
    from mmar_runner.server.rounds.coordinator import Coordinator
    from mmar_runner.server.settings import ServerSettings


def make_tree(settings: ServerSettings, components: ServerComponents, opened: OpenedRun) -> Tree:
    """Return what a server is in a tree.

    Raises:
        RunFailedError: DOES_NOT_COMPOSE, it is to assign clients to combiners, which cannot come.
    """
    state, above = opened.record.state, settings.upstream
    why = obstacle(settings.server, components.aggregator, components.workflow)
    if settings.assigns and why:
        msg = f"no combiner can work for {settings.spec.name}: {why}"
        hint = "leave out --assign; `mmar-runner validate-mmar --tree` names the place in the MMAR"
        raise RunFailedError(msg, hint=hint, reason="DOES_NOT_COMPOSE")
    return Tree(
        why,
        is_combiner=above is not None,
        had_combiners=any(one.update.facts.parts for one in state.accepted.values()),
        table=_table(settings, state) if settings.assigns else None,
        expected=frozenset() if above is not None and above.assigns else None,
        **_place(settings),
    )


def _place(settings: ServerSettings) -> dict[str, Any]:
    """Return what the project says of places, as a kit has it."""
    if settings.trust is None:
        return {}
    kit, sites = settings.trust.kit, settings.trust.sites
    places, is_combiner = kit.places, settings.upstream is not None
    return {
        "place": lambda name: places.get(sites.of(name)),
        "own": kit.identity.name if is_combiner else "",
    }


def run_number(settings: ServerSettings, opened: OpenedRun) -> int:
    """Return what clients call the run: by the root's number, whichever combiner they come to."""
    return opened.folder.number if settings.upstream is None else settings.upstream.run_number


def plain_sites(settings: ServerSettings) -> Sites:
    """Return which site a client is of, by the certificates of the project if there are any.

    Which of them a combiner gets is the parent's business, or their kits': none is missing here.
    Nor is, at the root, whoever has a place below a combiner.
    """
    if settings.trust is None:
        return NO_SITES
    sites, elsewhere = settings.trust.sites, settings.trust.kit.places.keys()
    admitted = frozenset() if settings.upstream is not None else sites.admitted - elsewhere
    return Sites(sites.known, admitted)


def sites_of(settings: ServerSettings, tree: Tree) -> Sites:
    """Return which site a client is of; where clients are assigned, combiners stand for them."""
    sites = plain_sites(settings)
    if tree.table is None:
        return sites
    return AssignedSites(sites.known, sites.admitted, tree.table)


def make_controller(
    tree: Tree,
    opened: OpenedRun,
    members: Members,
    coordinator: Coordinator,
    *,
    observer: Observer,
    guard: Guard,
    sites: Sites,
) -> Controller | None:
    """Return who assigns clients to combiners; None where nobody does."""
    if tree.table is None:
        return None
    return Controller(
        tree.table, opened.record, members, coordinator, observer, names=guard.names, sites=sites
    )


def _table(settings: ServerSettings, state: RunState) -> AssignmentTable:
    def counted(combiner: str) -> frozenset[str] | None:
        found = state.accepted.get(combiner)
        parts = () if found is None else found.update.facts.parts
        return frozenset(part.site for part in parts) or None

    recorded = (client.name for client in state.clients.values() if client.combines)
    return AssignmentTable(
        lambda: state.min_clients or settings.server.min_num_clients,
        dict(settings.pinned or {}),
        {*recorded, *state.assigned.values()},
        dict(state.assigned),
        counted,
        plain_sites(settings).count,
        plain_sites(settings).of,
    )
