# SPDX-License-Identifier: Apache-2.0
"""Round machines for tests: a plan, a machine that follows it, and what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmar_runner.federation.actions import Action
from mmar_runner.federation.events import ClientJoined
from mmar_runner.federation.plan import RunPlan
from mmar_runner.federation.round_machine import RoundMachine
from mmar_runner.federation.scatter_and_gather import ScatterAndGather
from mmar_runner.federation.sites import Sites


def _plan(**changes: Any) -> RunPlan:
    numbers: dict[str, Any] = {
        "start_round": 0,
        "num_rounds": 2,
        "min_num_clients": 2,
        "max_num_clients": 10,
        "wait_after_min_clients": 10.0,
    }
    return RunPlan(**{**numbers, **changes})


def _machine(
    clients: int = 0, /, *, resume: dict[str, Any] | None = None, **plan: Any
) -> RoundMachine:
    machine = RoundMachine(_plan(**plan), ScatterAndGather(), **(resume or {}))
    for number in range(1, clients + 1):
        machine.handle(ClientJoined(f"site-{number}"), 0.0)
    return machine


def _feed(machine: RoundMachine, *events: Any, now: float = 1.0) -> list[Action]:
    return [action for event in events for action in machine.handle(event, now)]


def _sites(*admitted: str, known: Sequence[str] = ()) -> dict[str, Any]:
    return {"sites": Sites(frozenset({*admitted, *known}), frozenset(admitted))}
