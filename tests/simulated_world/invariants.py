# SPDX-License-Identifier: Apache-2.0
"""What must hold of every world, by its journal, its files and what its clients saw."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmar_runner.interfaces.observer import Topic
from mmar_runner.server.records.replay import replay
from tests.simulated_world.training import (
    Arrays,
    Made,
    best_model,
    encoded,
    expected_buffer,
    expected_model,
    expected_step,
    initial_model,
)

if TYPE_CHECKING:
    from tests.simulated_world.federation import Federation


def check(federation: Federation) -> None:
    """Hold the invariants against what happened.

    Raises:
        AssertionError: One of them does not hold; the function that raised says which.
    """
    nothing_unforeseen_happened(federation)
    each_update_counts_at_most_once(federation)
    rounds_strictly_increase(federation)
    what_was_acknowledged_is_durable_and_counts(federation)
    it_has_ended_or_says_what_it_waits_for(federation)
    equal_accepted_sets_give_equal_models(federation)
    files_say_what_the_journal_says(federation)
    who_lives_knows_what_the_journal_adds_up_to(federation)
    who_was_removed_stays_out(federation)
    nothing_is_trained_in_vain(federation)
    if federation.buffered:
        no_buffer_takes_what_is_too_old_or_too_much(federation)
    if federation.round_robin:
        one_works_at_a_time(federation)
    else:
        no_round_is_closed_with_too_little(federation)
    if federation.cross_site:
        every_cell_is_settled_once(federation)


def nothing_unforeseen_happened(federation: Federation) -> None:
    """No process ended of, and no callback raised, what is not of the error tree."""
    assert not federation.world.defects, federation.world.defects


def each_update_counts_at_most_once(federation: Federation) -> None:
    """Of a client and round one update counts, or another after the first was revoked."""
    story = federation.story
    assert not story.twice, f"counted twice (round, client): {story.twice}"
    for number, clients in enumerate(story.accepted_sets()):
        assert len(set(clients)) == len(clients), f"round {number} adds up {clients}"


def rounds_strictly_increase(federation: Federation) -> None:
    """Rounds are closed one after the other; only a model that was lost has one done again."""
    story = federation.story
    assert not story.astray, story.astray
    spoiled = federation.spoiled
    assert story.gone_back <= spoiled, f"{story.gone_back} models were lost, {spoiled} spoiled"


def what_was_acknowledged_is_durable_and_counts(federation: Federation) -> None:
    """Every receipt that a client saw is of a record, and what is on record is in the sum."""
    story, recorded = federation.story, _recorded(federation)
    for client in federation.clients:
        for at, seen in client.watcher.seen:
            if seen.topic is Topic.SUBMITTED:
                key = (seen.data["round"], client.name)
                known = recorded.get(key, math.inf) <= at
                assert known, f"{key} was receipted at {at:.3f} s and was not on record"
    assert not story.lost, f"accepted, and no more on the disk (round, client): {story.lost}"
    for number, clients in enumerate(story.accepted_sets()):
        on_record = {client for accepted, client in story.counted if accepted == number}
        assert on_record == set(clients), (
            f"round {number}: {on_record} accepted, {clients} added up"
        )


def it_has_ended_or_says_what_it_waits_for(federation: Federation) -> None:
    """The run is finished, or failed because tasks did; it never stands still unsaid."""
    status = federation.status
    assert not federation.silences, federation.silences[0]
    assert status in {"finished", "failed"}, f"it has not ended; {_last_words(federation)}"
    if status == "finished":
        assert len(federation.story.closed) == federation.spec_of_server.num_rounds
        return
    reason = federation.events("run_ended")[-1].data["reason"]
    weather = federation.world.weather
    assert weather.task_failures or weather.poison or weather.full_disks, reason
    assert "could not be closed" not in reason, reason
    assert "site-" in reason, reason


def equal_accepted_sets_give_equal_models(federation: Federation) -> None:
    """Every round's model is the rule's of its updates, bit for bit, computed independently."""
    model, momenta = initial_model(), Arrays()
    models = [model]
    story = federation.story
    for number, (clients, recorded) in enumerate(
        zip(story.accepted_sets(), story.models(), strict=True)
    ):
        updates = [_made(federation, story.counted[number, client]) for client in sorted(clients)]
        for update in updates:
            of = story.base(number, update.client)
            base = hashlib.sha256(encoded(models[of])).hexdigest()
            assert (update.round, update.base_sha256) == (of, base), (number, update.client)
        if federation.keeps:
            model = expected_step(models, updates, momenta)
        elif federation.buffered:
            model = expected_buffer(models, updates)
        else:
            model = expected_model(model, updates)
        models.append(model)
        expected = hashlib.sha256(encoded(model)).hexdigest()
        assert expected == recorded, f"the model of round {number} is not that of {clients}"


def files_say_what_the_journal_says(federation: Federation) -> None:
    """The models on disk are those on record, and nothing of an update is left over."""
    if federation.status != "finished":
        return
    folder = federation.run_folder
    models = federation.story.models()
    final = _digest(folder / "models" / "final.safetensors")
    assert final == models[-1], "final.safetensors is not the last round's model"
    for number, recorded in enumerate(models):
        path = folder / "models" / f"round_{number + 1:04d}.safetensors"
        assert _digest(path) in {"nothing", recorded}, f"{path.name} is not the model on record"
    assert (folder / "models" / f"round_{len(models):04d}.safetensors").exists()
    states = replay(federation.records.events).known_past.states
    assert all(states) == federation.keeps, f"on record of what the rule keeps: {states}"
    for number, recorded in enumerate(states if federation.keeps else ()):
        path = folder / "models" / f"state_{number + 1:04d}.safetensors"
        assert _digest(path) in {"nothing", recorded}, f"{path.name} is not the state on record"
        model = path.with_name(f"round_{number + 1:04d}.safetensors")
        assert path.exists() == model.exists(), f"{path.name} is not kept as long as its model"
    best = replay(federation.records.events).best
    if best is not None:
        found = _digest(folder / "models" / "best.safetensors")
        assert found == models[best[0]], "best.safetensors is not the best round's model"


def who_lives_knows_what_the_journal_adds_up_to(federation: Federation) -> None:
    """After every event the server knew what another one would that is started just then."""
    differences = federation.world.differences
    assert not differences, f"{len(differences)} differences; first {differences[0]}"


def nothing_is_trained_in_vain(federation: Federation) -> None:
    """Once its update was receipted, a client trains that round again only if it was revoked.

    Or if it was given the task again meanwhile: then it has that before it has the receipt.
    """
    for client in federation.clients:
        receipted: set[int] = set()
        for at, seen in client.watcher.seen:
            number = seen.data.get("round", -1)
            if seen.topic is Topic.SUBMITTED:
                receipted.add(number)
            elif seen.topic is Topic.TRAINING and number in receipted:
                story = federation.story
                again = (number, client.name) in story.revoked | story.given_again
                assert again, f"{client.name} trains round {number} twice, at {at:.3f} s"


def no_round_is_closed_with_too_little(federation: Federation) -> None:
    """A round has as many updates as it needed, or did while it was open."""
    story = federation.story
    for number, (clients, needed) in enumerate(
        zip(story.accepted_sets(), story.lowest, strict=True)
    ):
        assert len(clients) >= needed, f"round {number} needs {needed}, and adds up {clients}"


def no_buffer_takes_what_is_too_old_or_too_much(federation: Federation) -> None:
    """No update is older than is allowed, or is made of a model whose update counted before."""
    workflow = federation.spec_of_server.workflow
    assert workflow is not None
    most = workflow.args["max_staleness"]
    story = federation.story
    newest: dict[str, int] = {}
    for number, clients in enumerate(story.accepted_sets()):
        for client in clients:
            base = story.base(number, client)
            assert number - most <= base <= number, (number, client, base)
            assert base > newest.get(client, -1), (number, client, base)
            newest[client] = base


def one_works_at_a_time(federation: Federation) -> None:
    """A turn is one client's, and only of whoever has it by the record an update counts."""
    holder = ""
    for event in federation.records.events:
        match event.kind:
            case "round_opened":
                (holder,) = event.data["participants"]
            case "turn_passed":
                assert event.data["before"] == holder, f"{event.seq}: it was {holder}'s turn"
                holder = event.data["client"]
            case "update_accepted":
                assert event.data["client"] == holder, f"{event.seq}: it is {holder}'s turn"
    for number, clients in enumerate(federation.story.accepted_sets()):
        assert len(clients) == 1, f"round {number} adds up {clients}"


def every_cell_is_settled_once(federation: Federation) -> None:
    """The matrix is whole before the run is finished, by the journal and on the disk."""
    events = federation.records.events
    gone_back = [i for i, event in enumerate(events) if event.kind == "checkpoint_lost"]
    events = events[gone_back[-1] if gone_back else 0 :]  # what was validated before is no more

    def told(what: str) -> list[Any]:
        return [event.data for event in events if event.kind == what]

    if federation.status != "finished" or not told("cross_site_begun"):
        return  # nobody was there who takes part
    kinds = [event.kind for event in events]
    assert kinds.index("cross_site_ended") < len(kinds) - 1 - kinds[::-1].index("run_ended")
    begun = told("cross_site_begun")[-1]
    models = {one["client"]: one["sha256"] for one in told("cross_site_model")}
    owners = {*begun["models"], *(client for client, sha256 in models.items() if sha256)}
    cells = [(one["client"], one["owner"]) for one in told("cross_site_result")]
    assert set(models) == set(begun["participants"])
    assert len(cells) == len(set(cells)), "a cell is settled twice"
    assert set(cells) >= {(c, owner) for c in begun["participants"] for owner in owners}
    # A model that was lost may have been validated before, and its owner may have none now.
    owners |= {one["client"] for one in told("cross_site_model") if one["sha256"]}
    assert set(cells) <= {(c, owner) for c in begun["participants"] for owner in owners}
    for client, sha256 in models.items():
        assert sha256 in {"", hashlib.sha256(encoded(best_model(client))).hexdigest()}
    state = replay(federation.records.events).cross_site
    assert state is not None
    file = federation.run_folder / "cross_site_validation" / "results.json"
    assert json.loads(file.read_bytes()) == state.matrix()


def who_was_removed_stays_out(federation: Federation) -> None:
    """A session that an administrator removed is never let in again, nor is an update of it."""
    removed: set[str] = set()
    out: set[str] = set()
    for event in federation.records.events:
        match event.kind:
            case "client_removed":
                removed.add(event.data["key_sha256"])
                out.add(event.data["client"])
            case "client_registered":
                assert event.data["key_sha256"] not in removed, f"{event.seq}: {event.data}"
                out.discard(event.data["client"])
            case "update_accepted":
                assert event.data["client"] not in out, f"{event.seq}: {event.data['client']}"


# Small helpers


def _recorded(federation: Federation) -> dict[tuple[int, str], float]:
    """Return when the first update of a round and client was durable."""
    records = federation.records
    found: dict[tuple[int, str], float] = {}
    for event, at in zip(records.events, records.durable_at, strict=True):
        if event.kind == "update_accepted":
            base = event.data.get("base_round", event.data["round"])
            found.setdefault((base, event.data["client"]), at)
    return found


def _made(federation: Federation, record: Any) -> Made:
    made = federation.trainers.made.get(record["sha256"])
    assert made is not None, f"nobody made the update {record['sha256']} of {record['client']}"
    assert made.client == record["client"], f"{record['client']} sent {made.client}'s update"
    return made


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else "nothing"


def _last_words(federation: Federation) -> str:
    waiting = federation.server.watcher.all(Topic.WAITING)
    said = waiting[-1].data["message"] if waiting else "nothing"
    errors = [host.last_error for host in (federation.server, *federation.clients)]
    return f"the server last said: {said}; errors: {errors}"
