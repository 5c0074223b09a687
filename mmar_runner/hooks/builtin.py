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
