# SPDX-License-Identifier: Apache-2.0
"""Adds up the events of a journal: one small function for each kind of event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mmar_runner.errors import JournalError
from mmar_runner.federation.fedbuff import MAX_STALENESS
from mmar_runner.federation.run_status import RunStatus, run_end
from mmar_runner.server.records.cross_site_state import BestLocalModel, CrossSiteState, Validated
from mmar_runner.server.records.failed_components import Failures
from mmar_runner.server.records.outlying import Outlying
from mmar_runner.server.records.record import (
    AcceptedUpdate,
    CountedUpdate,
    Kind,
    LostModel,
    OnRecord,
    Rejected,
    Removed,
)
from mmar_runner.server.records.run_state import Past, RecordedClient, RoundInputs, RunState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mmar_runner.server.records.record import Numbered
    from mmar_runner.storage.journal import JournalEvent


def replay(events: Iterable[JournalEvent]) -> RunState:
    """Add up the events of a journal.

    Raises:
        JournalError: The journal does not begin with a run, a later version wrote it, or an
            event lacks what it must say.
    """
    state = RunState()
    started = False
    for event in events:
        if event.kind not in _APPLY:
            msg = f"the journal holds {event.kind!r}, which this version does not know"
            hint = "go on with the version that wrote it, or start a new run with --new-run"
            raise JournalError(msg, hint=hint)
        started = started or event.kind == Kind.RUN_STARTED
        _replayed(state, event)
    if not started:
        msg = "the journal holds no run"
        raise JournalError(msg, hint="start a new run with --new-run")
    return state


def _replayed(state: RunState, event: JournalEvent) -> None:
    try:
        apply_event(state, Kind(event.kind), event.data, OnRecord(event.seq))
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        msg = f"the journal's event {event.seq}, {event.kind}, cannot be understood: {error!r}"
        hint = "put the right journal.db back, or begin another run with --new-run"
        raise JournalError(msg, hint=hint) from error


def closed_rounds(events: Iterable[JournalEvent]) -> list[dict[str, Any]]:
    """Return what the summary says of every round that is closed, in order.

    Args:
        events: Of a journal that `replay` understands.
    """
    rounds: list[dict[str, Any]] = []
    for event in events:
        if event.kind == Kind.ROUND_CLOSED:
            rounds.append(dict(event.data["summary"]))
        elif event.kind == Kind.CHECKPOINT_LOST:
            rounds.pop()
    return rounds


def unrecorded_seconds(events: Sequence[JournalEvent]) -> float:
    """Return for how long a server worked after the last event that says how long it had.

    One that was killed says it no more: its last event is the last that is known of it.

    Args:
        events: Of a journal that `replay` understands.
    """
    said = next(event.time for event in reversed(events) if event.kind in _TIMED)
    return max(0.0, round(events[-1].time - said, 6))


def apply_event(state: RunState, kind: Kind, data: Mapping[str, Any], number: Numbered) -> None:
    """Add one event to a state; nothing of ``data`` is kept that its owner may change."""
    _APPLY[kind](state, data, number)


def _run_started(state: RunState, data: Mapping[str, Any], _number: Numbered) -> None:
    state.digest = data["digest"]
    state.identity = data.get("identity", {})
    state.epoch = state.run_id = data.get("epoch", "")
    state.parent_run = data.get("parent_run", "")
    state.seed = data["seed"]
    state.round = data["round"]
    state.model_sha256 = data["model_sha256"]
    _add_base(state)
    if state.past is not None:
        state.past = Past(state.round, state.model_sha256)


def _run_resumed(state: RunState, data: Mapping[str, Any], _number: Numbered) -> None:
    state.status, state.reason = RunStatus.RUNNING, ""
    state.wall_seconds = data.get("wall_seconds", state.wall_seconds)


def _run_retried(state: RunState, data: Mapping[str, Any], number: Numbered) -> None:
    """Go on with a run that had failed, as if nobody's task had failed in its last round."""
    _run_resumed(state, data, number)
    state.epoch, state.settled = data["epoch"], False
    state.rejected, state.again = [], {}


def _client_registered(state: RunState, data: Mapping[str, Any], _number: Numbered) -> None:
    client = RecordedClient(
        data["client"],
        data["key_sha256"],
        data["mmar_digest"],
        data.get("fingerprint", ""),
        data.get("host", ""),
        data.get("cross_validates", False),
        data.get("combines", False),
        data.get("serves_at", ""),
    )
    state.clients[client.name] = client


def _client_left(state: RunState, data: Mapping[str, Any], _number: Numbered) -> None:
    state.clients.pop(data["client"], None)


def _client_removed(state: RunState, data: Mapping[str, Any], _number: Numbered) -> None:
    """Remember whose session is over, and take what it sent out of the open round."""
    removed = Removed.from_json(data)
    state.clients.pop(removed.client, None)
    state.removed[removed.key_sha256] = removed
    if removed.rejected is not None:
        _withdraw(state, removed.client)
        state.rejected.append(removed.rejected)
        _given_again(state, data, _number)


def _given_again(state: RunState, data: Mapping[str, Any], _number: Numbered) -> None:
    client = data["client"]
    state.again[client] = state.again.get(client, 0) + 1


def _client_assigned(state: RunState, data: Mapping[str, Any], _number: Numbered) -> None:
    state.assigned[data["client"]] = data["combiner"]


def _update_taken_back(state: RunState, data: Mapping[str, Any], number: Numbered) -> None:
    """Count a combiner's sum no more, and let it send another one."""
    _withdraw(state, data["client"])
    _given_again(state, data, number)


def _turn_passed(state: RunState, data: Mapping[str, Any], _number: Numbered) -> None:
    """Take the round's task from one client and give it to another."""
    _given_again(state, {"client": data["before"]}, _number)
    state.participants = (data["client"],)


def _min_clients_set(state: RunState, data: Mapping[str, Any], _number: Numbered) -> None:
    state.min_clients = data["number"]


def _round_opened(state: RunState, data: Mapping[str, Any], _number: Numbered) -> None:
    state.participants = tuple(data["participants"])


def _update_accepted(state: RunState, data: Mapping[str, Any], number: Numbered) -> None:
    update = AcceptedUpdate.from_json(data)
    state.accepted[update.client] = CountedUpdate(update, number)
    state.last_round[update.client] = update.base


def _update_refused(state: RunState, data: Mapping[str, Any], number: Numbered) -> None:
    # One that had been accepted was withdrawn: it could not be aggregated.
    _withdraw(state, data["client"])
    _rejected(state, data, number)


def _partial_made(state: RunState, _data: Mapping[str, Any], _number: Numbered) -> None:
    """From here on nothing is added to the open round's updates."""
    state.sealed = True


def _partial_reopened(state: RunState, _data: Mapping[str, Any], _number: Numbered) -> None:
    """The parent expects another sum: updates are taken again."""
    state.sealed = False


def _withdraw(state: RunState, client: str) -> None:
    state.sealed = False
    if state.accepted.pop(client, None) is not None:
        del state.last_round[client]


def _rejected(state: RunState, data: Mapping[str, Any], _number: Numbered) -> None:
    state.rejected.append(Rejected.from_json(data))


def _round_closed(state: RunState, data: Mapping[str, Any], number: Numbered) -> None:
    state.round = data.get("following", data["round"] + 1)
    state.model_sha256 = data["summary"]["model_sha256"]
    state.state_sha256 = data.get("state_sha256", "")
    _add_base(state)
    if state.past is not None:
        state.past.results.append(state.model_sha256)
        state.past.states.append(state.state_sha256)
    state.wall_seconds = data["wall_seconds"]
    state.aggregation = dict(data["summary"].get("aggregation", state.aggregation))
    if data.get("best") is not None:
        _best_model(state, data["best"], number)
    state.closed = RoundInputs(state.accepted, state.rejected, state.participants)
    state.accepted, state.rejected, state.participants = {}, [], ()
    state.again, state.sealed = {}, False


def _add_base(state: RunState) -> None:
    """Note that updates may be made from the newest model, and forget one that is too old."""
    state.bases[state.round] = state.model_sha256
    state.bases.pop(state.round - _BASES, None)


def _best_model(state: RunState, data: Mapping[str, Any], _number: Numbered) -> None:
    found = (data["round"], data["score"])
    if state.past is not None and state.best != found:
        state.past.bests.append(found)
    state.best = found


def _best_model_lost(state: RunState, data: Mapping[str, Any], _number: Numbered) -> None:
    bests = state.known_past.bests
    while bests and bests[-1][0] != data["instead"]:
        bests.pop()
    state.best = bests[-1] if bests else None


def _checkpoint_lost(state: RunState, data: Mapping[str, Any], _number: Numbered) -> None:
    """Go back one round: its result is no more, and what was made from that neither."""
    lost = LostModel.from_json(data)
    closed = state.closed or RoundInputs()
    kept = {name: closed.accepted[name] for name in lost.kept}
    still = {name: number for name, number in state.last_round.items() if number < lost.round - 1}
    state.last_round = still | {name: one.update.base for name, one in kept.items()}
    state.bases.pop(lost.round, None)
    past = state.known_past
    state.round, state.model_sha256 = lost.round - 1, past.model_before or ""
    state.state_sha256 = past.state_before
    past.results.pop()
    past.states.pop()
    state.accepted, state.participants = kept, closed.participants
    state.rejected = closed.rejected if kept else []
    state.again = {}  # in another epoch nobody knows of an attempt
    state.sealed = False
    state.closed = state.cross_site = None
    state.epoch = data["epoch"]
    state.lost.append(lost)


def _component_failed(state: RunState, data: Mapping[str, Any], _number: Numbered) -> None:
    which = (data["component"], data["event"])
    state.failed[which] = Failures.after(state.failed.get(which), data)


def _outlier(state: RunState, data: Mapping[str, Any], _number: Numbered) -> None:
    client = data["client"]
    state.outlying[client] = Outlying.after(state.outlying.get(client), data)


def _cross_site_begun(state: RunState, data: Mapping[str, Any], _number: Numbered) -> None:
    """Cross-site validation begins, or somebody else takes part from now on."""
    known = state.cross_site = state.cross_site or CrossSiteState()
    known.participants = tuple(data["participants"])
    known.server_models = dict(data["models"])


def _cross_site(state: RunState) -> CrossSiteState:
    if state.cross_site is None:
        msg = "no cross-site validation has begun"
        raise LookupError(msg)
    return state.cross_site


def _cross_site_model(state: RunState, data: Mapping[str, Any], _number: Numbered) -> None:
    model = BestLocalModel.from_json(data)
    _cross_site(state).models[model.client] = model


def _cross_site_result(state: RunState, data: Mapping[str, Any], _number: Numbered) -> None:
    result = Validated.from_json(data)
    _cross_site(state).results[result.client, result.owner] = result


def _cross_site_ended(state: RunState, _data: Mapping[str, Any], _number: Numbered) -> None:
    _cross_site(state).ended = True


def _run_ended(state: RunState, data: Mapping[str, Any], _number: Numbered) -> None:
    state.status, state.reason = run_end(data["status"]), data["reason"]
    state.wall_seconds = data["wall_seconds"]


def _run_settled(state: RunState, _data: Mapping[str, Any], _number: Numbered) -> None:
    state.settled = True


#: How many of the newest models updates may be made from, at the most.
_BASES = MAX_STALENESS + 2
#: The events whose time is that of the run's `wall_seconds`.
_TIMED = frozenset(
    {Kind.RUN_STARTED, Kind.RUN_RESUMED, Kind.RUN_RETRIED, Kind.ROUND_CLOSED, Kind.RUN_ENDED}
)
_APPLY = {
    Kind.RUN_STARTED: _run_started,
    Kind.RUN_RESUMED: _run_resumed,
    Kind.RUN_RETRIED: _run_retried,
    Kind.CLIENT_REGISTERED: _client_registered,
    Kind.CLIENT_LEFT: _client_left,
    Kind.CLIENT_REMOVED: _client_removed,
    Kind.MIN_CLIENTS_SET: _min_clients_set,
    Kind.TASK_GIVEN_AGAIN: _given_again,
    Kind.CLIENT_ASSIGNED: _client_assigned,
    Kind.UPDATE_TAKEN_BACK: _update_taken_back,
    Kind.TURN_PASSED: _turn_passed,
    Kind.ROUND_OPENED: _round_opened,
    Kind.UPDATE_ACCEPTED: _update_accepted,
    Kind.UPDATE_REFUSED: _update_refused,
    Kind.TASK_FAILED: _rejected,
    Kind.PARTIAL_MADE: _partial_made,
    Kind.PARTIAL_REOPENED: _partial_reopened,
    Kind.ROUND_CLOSED: _round_closed,
    Kind.OUTLIER: _outlier,
    Kind.BEST_MODEL: _best_model,
    Kind.BEST_MODEL_LOST: _best_model_lost,
    Kind.CHECKPOINT_LOST: _checkpoint_lost,
    Kind.COMPONENT_FAILED: _component_failed,
    Kind.CROSS_SITE_BEGUN: _cross_site_begun,
    Kind.CROSS_SITE_MODEL: _cross_site_model,
    Kind.CROSS_SITE_RESULT: _cross_site_result,
    Kind.CROSS_SITE_ENDED: _cross_site_ended,
    Kind.RUN_ENDED: _run_ended,
    Kind.RUN_SETTLED: _run_settled,
}
