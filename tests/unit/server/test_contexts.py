# SPDX-License-Identifier: Apache-2.0
"""What an aggregator is told of its round."""

from __future__ import annotations

from dataclasses import replace

from mmar_runner.federation.sites import NO_SITES, Sites
from mmar_runner.server.records.run_state import RecordedClient, RunState
from mmar_runner.server.rounds.contexts import RoundContexts


def contexts(state: RunState, sites: Sites = NO_SITES) -> RoundContexts:
    return RoundContexts(
        state=state, num_rounds=9, start_round=2, minimum=2, sites=sites, workspace_secret=bytes(32)
    )


def state(**said: object) -> RunState:
    known = RunState(run_id="run", epoch="run", participants=("site-1", "site-2"))
    known.last_round = {"site-1": 3, "site-3": 2}
    known.clients = {"site-2": RecordedClient("site-2", "k", "d", "", "")}
    for name, value in said.items():
        setattr(known, name, value)
    return known


def test_who_is_there_and_who_could_be() -> None:
    found = contexts(state()).of(4)
    assert (found.round, found.num_rounds, found.start_round) == (4, 9, 2)
    assert (found.participants, found.population, found.minimum) == (2, 3, 2)
    listed = Sites(frozenset("abcde"), frozenset("abcd"))
    assert contexts(state(), listed).of(4).population == 4


def test_a_secret_is_of_one_server_run_and_round_and_comes_back() -> None:
    here = contexts(state())
    secret = here.of(4).secret
    assert len(secret) == 32
    assert secret == contexts(state()).of(4).secret  # another process, the same records
    others = [
        here.of(5).secret,
        contexts(state(run_id="other")).of(4).secret,
        contexts(state(epoch="gone back")).of(4).secret,
        replace(here, workspace_secret=bytes(31) + b"x").of(4).secret,
    ]
    assert len({secret, *others}) == 5
    assert secret.hex() not in repr(here.of(4))
    assert repr(secret) not in repr(here.of(4))


def test_a_simulation_has_the_same_secrets_again() -> None:
    first = replace(contexts(state()), known_key=b"of a seed")
    again = replace(contexts(state(run_id="other", epoch="x")), known_key=b"of a seed")
    assert first.of(4).secret == again.of(4).secret
    assert first.of(4).secret != first.of(5).secret
