# SPDX-License-Identifier: Apache-2.0
"""The simulated world finds bugs: one planted per invariant, each soon found."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from mmar_runner.federation.round_machine import RoundMachine
from tests.simulated_world import server as server_module
from tests.simulated_world.federation import Federation
from tests.simulated_world.server import Server

_SEEDS = 300


def _find() -> str:
    """Return what the first failing seed says."""
    for seed in range(_SEEDS):
        federation = Federation(seed)
        try:
            federation.run()
            federation.check()
        except AssertionError as error:
            frame = error.__traceback__
            while frame is not None and frame.tb_next is not None:
                frame = frame.tb_next
            return frame.tb_frame.f_code.co_name if frame is not None else ""
    return "nothing"


def _count_whatever_comes(
    self: Server, client: str, number: int, base: str, reply: Callable[..., None]
) -> bool:
    del client, base, reply
    return number != self.round or self.closing


def _acknowledge_at_once(
    self: Server, kind: Any, facts: dict[str, Any], done: Callable[[], None] | None = None
) -> None:
    self.disk.append(kind, facts, lambda: None)
    if done is not None:
        done()


def _stay_in_the_round(self: RoundMachine, number: int) -> None:
    if self._open is not None and self._open.closed and number == self._next_round:
        self._open = None


def _forget_whom_it_knew(self: RoundMachine, client: str) -> list[Any]:
    self._active.add(client)
    return []


def _sum_in_order_of_arrival(model: str, updates: dict[str, str]) -> str:
    text = model + "".join(f"|{client}={updates[client]}" for client in updates)
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("owner", "name", "bug", "found_by"),
    [
        (Server, "_refused", _count_whatever_comes, "_each_update_counts_at_most_once"),
        (RoundMachine, "_aggregated", _stay_in_the_round, "_rounds_strictly_increase"),
        (
            Server,
            "_record",
            _acknowledge_at_once,
            "_what_was_acknowledged_is_durable_and_counts",
        ),
        (
            RoundMachine,
            "_joined",
            _forget_whom_it_knew,
            "_it_has_ended_or_says_what_it_waits_for",
        ),
        (
            server_module,
            "aggregate",
            _sum_in_order_of_arrival,
            "_equal_accepted_sets_give_equal_models",
        ),
    ],
    ids=[
        "an update counts twice",
        "a round is run again",
        "the receipt precedes durability",
        "a client that comes back is not asked again",
        "the sum depends on the order of arrival",
    ],
)
def test_a_planted_bug_is_found(
    monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, bug: Any, found_by: str
) -> None:
    monkeypatch.setattr(owner, name, bug)
    assert _find() == found_by
