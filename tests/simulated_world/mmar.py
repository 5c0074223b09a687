# SPDX-License-Identifier: Apache-2.0
"""What a simulated federation is to do: an MMAR as values, drawn from the seed."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmar_runner.interfaces.catalog import ComponentKind
from mmar_runner.mmar.spec import ClientSpec, ComponentSpec, Generation, MmarSpec, ServerSpec
from tests.simulated_world.training import encoded, initial_model

_CHECKPOINT = "initial.safetensors"


def draw_mmar(
    rng: random.Random,
    root: Path,
    clients: int,
    aggregator: str = "FedAvg",
    *,
    round_robin: bool = False,
    cross_site: bool = False,
    buffered: bool = False,
) -> MmarSpec:
    """Return an MMAR for so many clients.

    Args:
        rng: Decides.
        root: Its folder, which is made, with the initial model in it.
        clients: How many there are.
        aggregator: The rule.
        round_robin: Whether one works at a time.
        cross_site: Whether everybody validates everybody's models at the end.
        buffered: Whether nobody waits for others.
    """
    root.mkdir()
    (root / _CHECKPOINT).write_bytes(encoded(initial_model()))
    aside = random.Random()  # what older seeds draw stays what it was
    aside.setstate(rng.getstate())
    sampled = rng.randint(1, clients) if rng.random() < 0.4 else None
    server = ServerSpec(
        task_name="task",
        min_num_clients=sampled or rng.randint(1, clients),
        max_num_clients=100,
        wait_after_min_clients=rng.choice([0.0, 5.0, 20.0]),
        heart_beat_timeout=rng.choice([6.0, 30.0]),
        start_round=0,
        num_rounds=rng.randint(1, 5),
        aggregator=_component(ComponentKind.AGGREGATOR, aggregator),
        clients_per_round=sampled,
        round_deadline=rng.choice([None, 30.0]),
        checkpoint=_CHECKPOINT,
        workflow=_component(ComponentKind.WORKFLOW, "RoundRobin") if round_robin else None,
        update_codec=aside.choice(["none", "none", "fp16", "bf16"]),
        compression=aside.choice(["none", "zstd"]),
    )
    if buffered:
        args = {"max_staleness": rng.choice([0, 1, 2, 10])}
        workflow = _component(ComponentKind.WORKFLOW, "FedBuff", **args)
        rounds = rng.randint(3, 8)
        server = replace(server, workflow=workflow, clients_per_round=None, num_rounds=rounds)
    trainer = _component(ComponentKind.CLIENT_TRAINER, "EchoTrainer")
    client = ClientSpec("task", trainer, cross_validate=cross_site)
    return MmarSpec(
        "mmar", root, Generation.CLARA_4, "d" * 64, server=server, client=client, seed=7
    )


def _component(kind: ComponentKind, name: str, **args: Any) -> ComponentSpec:
    return ComponentSpec(kind, {"name": name, "args": args}, name, args, "", "")
