# SPDX-License-Identifier: Apache-2.0
"""What the core itself registers, through the same hook as everybody."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmar_runner.hooks.markers import hookimpl

if TYPE_CHECKING:
    from mmar_runner.hooks.registrar import Registrar


@hookimpl
def mmar_register_components(registry: Registrar) -> None:
    """Register the workflows that need nothing but the core."""
    registry.add(
        kind="workflow",
        name="ScatterAndGather",
        target="mmar_runner.federation.scatter_and_gather:ScatterAndGather",
        summary="Every round, all clients (or a sample of them) train the same model.",
    )
    registry.add(
        kind="workflow",
        name="RoundRobin",
        target="mmar_runner.federation.round_robin:RoundRobin",
        args_schema={
            "type": "object",
            "properties": {
                "order": {
                    "type": ["array", "null"],
                    "items": {"type": "string", "minLength": 1},
                    "minItems": 1,
                    "uniqueItems": True,
                    "default": None,
                    "description": "Clients in the order of their turns; null orders by name.",
                }
            },
        },
        summary="The model travels from client to client; one works at a time.",
        extras={
            "paper": "Chang et al. 2018, JAMIA 25(8), doi:10.1093/jamia/ocy017",
            "memory": "that of the aggregator",
            "tags": ["one_at_a_time"],
        },
    )
    registry.add(
        kind="workflow",
        name="FedBuff",
        target="mmar_runner.federation.fedbuff:FedBuff",
        args_schema={
            "type": "object",
            "properties": {
                "max_staleness": {
                    "type": "integer",
                    "minimum": 0,
                    "maximum": 64,
                    "default": 10,
                    "description": (
                        "How many versions older than the newest the model may be that an update"
                        " was made from; an older one is refused. So many models are kept."
                    ),
                }
            },
        },
        summary="Nobody waits for others: every min_num_clients updates make the next model.",
        extras={
            "paper": "Nguyen et al. 2022, arXiv:2106.06639",
            "memory": "that of the aggregator",
            "tags": ["asynchronous", {"tag": "stale_bases", "if": "max_staleness"}],
        },
    )
