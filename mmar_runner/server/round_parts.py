# SPDX-License-Identifier: Apache-2.0
"""Makes the parts of a run that decide about its rounds, and make models of updates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmar_runner.federation.plan import RunPlan
from mmar_runner.federation.round_machine import RoundMachine
from mmar_runner.security.tokens import workspace_secret
from mmar_runner.server.components.aggregator_child import AggregatorChild
from mmar_runner.server.components.filter_child import filter_child
from mmar_runner.server.rounds.buffers import Buffers
from mmar_runner.server.rounds.combining import Combining
from mmar_runner.server.rounds.contexts import RoundContexts
from mmar_runner.server.rounds.minimum import MinimumBounds
from mmar_runner.server.rounds.round_aggregation import RoundAggregation
from mmar_runner.server.rounds.round_filters import RoundFilters
from mmar_runner.server.rounds.upward import Upward
from mmar_runner.server.rounds.whole_aggregation import WholeAggregation

if TYPE_CHECKING:
    from collections.abc import Callable

    from mmar_runner.federation.sites import Sites
    from mmar_runner.server.components.building import ServerComponents
    from mmar_runner.server.opening import OpenedRun
    from mmar_runner.server.records.update_bytes import UpdateBytes
    from mmar_runner.server.rounds.assignments import Assignments
    from mmar_runner.server.rounds.combining import Combines
    from mmar_runner.server.settings import ServerSettings


def make_combining(
    settings: ServerSettings,
    components: ServerComponents,
    opened: OpenedRun,
    aggregation: RoundAggregation,
    tell: Callable[[str], None],
    *,
    sites: Sites,
) -> Combines:
    """Return what makes models of updates, with the children that take part in it.

    Args:
        settings: Of the server.
        components: What the MMAR declares for it.
        opened: The run.
        aggregation: What is done in this process.
        tell: Says what is waited for.
        sites: Which site a client is of.
    """
    if settings.upstream is not None:
        return Upward(
            aggregation=aggregation,
            record=opened.record,
            upstream=settings.upstream,
            models=opened.models,
            schema=opened.schema,
            sites=sites,
            tell=tell,
        )
    server, folder, whole, filters = settings.server, opened.folder, None, None
    if components.aggregates_in_child:
        child = AggregatorChild(settings, folder, server.aggregator)
        whole = WholeAggregation(aggregation, child)
    inbound = filter_child(settings, folder, "inbound_filters", server.inbound_filters)
    outbound = filter_child(settings, folder, "outbound_filters", server.outbound_filters)
    if inbound is not None or outbound is not None:
        filters = RoundFilters(inbound, outbound, aggregation.contexts)
    return Combining(aggregation, whole, filters)


def make_aggregation(
    settings: ServerSettings,
    components: ServerComponents,
    opened: OpenedRun,
    updates: UpdateBytes,
    *,
    sites: Sites,
) -> RoundAggregation:
    """Return what makes a model of a round's updates, gone on from where the record ends."""
    server, state = settings.server, opened.record.state
    aggregation = RoundAggregation(
        aggregator=components.aggregator,
        label=server.aggregator.label,
        folder=opened.folder,
        updates=updates,
        contexts=RoundContexts(
            state=state,
            num_rounds=server.num_rounds,
            start_round=server.start_round,
            minimum=server.min_num_clients,
            sites=sites,
            workspace_secret=workspace_secret(settings.workspace / "token.key"),
            known_key=settings.known_key,
        ),
        models=opened.models,
        excluded=opened.excluded,
        durable=settings.durable,
    )
    if not opened.ended and settings.upstream is None:
        aggregation.resume(state.aggregation)
        aggregation.go_on(state.round, state.state_sha256)
    return aggregation


def make_buffers(
    components: ServerComponents, opened: OpenedRun, assignments: Assignments
) -> Buffers | None:
    """Return what says which updates count where clients do not wait for each other."""
    most = components.workflow.max_staleness
    return None if most is None else Buffers(assignments, opened.record.state, most)


def make_machine(
    settings: ServerSettings, components: ServerComponents, opened: OpenedRun, sites: Sites
) -> RoundMachine:
    """Return the round machine, in the state that the record left."""
    server, state = settings.server, opened.record.state
    plan = RunPlan(
        start_round=server.start_round,
        num_rounds=server.num_rounds,
        min_num_clients=state.min_clients or server.min_num_clients,
        max_num_clients=server.max_num_clients,
        # A buffer is full with its last update, and waits for nobody else.
        wait_after_min_clients=(
            server.wait_after_min_clients if components.workflow.max_staleness is None else 0.0
        ),
        clients_per_round=server.clients_per_round,
        round_deadline=server.round_deadline,
        seed=state.seed,
        expected_clients=settings.expected_clients,
    )
    return RoundMachine(
        plan,
        components.workflow,
        sites=sites,
        first_round=state.round,
        accepted=state.accepted.keys(),
        active=state.clients.keys(),
        participants=state.participants,
        failures=state.failures(),
        again=state.again,
        removed=state.out(),
        last_turn=state.last_turn(),
        sealed=state.sealed,
    )


def make_bounds(
    settings: ServerSettings, components: ServerComponents, sites: Sites
) -> MinimumBounds:
    """Return what bounds the number of updates that an administrator may ask for."""
    server = settings.server
    return MinimumBounds(
        min_updates=components.aggregator.min_updates,
        max_num_clients=server.max_num_clients,
        clients_per_round=server.clients_per_round,
        sites=len(sites.admitted),
        aggregator=server.aggregator.label,
    )
