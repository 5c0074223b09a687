# SPDX-License-Identifier: Apache-2.0
"""Registers the processor of cross-site validation's results."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmar_runner.hooks import hookimpl

if TYPE_CHECKING:
    from mmar_runner.hooks import Registrar


@hookimpl
def mmar_register_components(registry: Registrar) -> None:
    """Register it as data; its code is imported when a run needs it."""
    registry.add(
        kind="result_processor",
        name="ValidateResultProcessor",
        target="mmar_runner_cross_site_validation.processor:ValidateResultProcessor",
        summary="Writes what every model is worth on every site's data to a CSV file.",
        extras={
            "topics": ["cross_site_validation"],
            "memory": "one entry for each pair of site and model",
        },
    )
