# SPDX-License-Identifier: Apache-2.0
"""What a site does for cross-site validation: its best model made ready, others' models measured.

Filters stand where they stand for updates: those that the MMAR declares for cross-site
validation first, the site's own last, in a process that no code of the MMAR enters. What leaves
the site has passed the site's own filters, and so has what its data meets.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from mmar_runner.children.process import ChildProcess
from mmar_runner.children.results import read_metrics
from mmar_runner.client.tasks.component_specs import filter_spec, site_filter_spec, validator_spec
from mmar_runner.client.tasks.filtering import FilterChain
from mmar_runner.interfaces.aggregator import UpdateKind

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mmar_runner.children.spec import ChildSpec
    from mmar_runner.client.files.workspace import RunFiles
    from mmar_runner.client.settings import SessionSettings
    from mmar_runner.client.tasks.filter_contexts import FilterContexts
    from mmar_runner.client.tasks.training import Trainer
    from mmar_runner.interfaces.filter import FilterContext


class Evaluation:
    """Best model and validations of one site in one run.

    Args:
        settings: What the session was started with.
        files: The run's files.
        trainer: Keeps the best local model, and validates where nobody else is declared to.
        contexts: What filters are told.
    """

    def __init__(
        self,
        settings: SessionSettings,
        files: RunFiles,
        trainer: Trainer,
        contexts: FilterContexts,
    ) -> None:
        client, own = settings.client, settings.site_filters
        self._files = files
        self._trainer = trainer
        self._contexts = contexts
        self._timeout = settings.task_timeout
        self._validator: ChildSpec | None = None
        if client.model_validator is not None:
            self._validator = validator_spec(settings, files, client.model_validator)
        self._child: ChildProcess | None = None
        specs = {
            "cross_site_inbound": filter_spec(settings, files, client.cross_site_inbound),
            "cross_site_outbound": filter_spec(settings, files, client.cross_site_outbound),
            "cross_site_site_inbound": site_filter_spec(settings, own.get("inbound", ())),
            "cross_site_site_outbound": site_filter_spec(settings, own.get("outbound", ())),
        }
        self._inbound, self._outbound, self._site_inbound, self._site_outbound = (
            FilterChain(spec, log=files.log(name), timeout=self._timeout)
            for name, spec in specs.items()
        )

    async def best_model(self) -> tuple[Path, Mapping[str, float]] | None:
        """Have the best local model written and filtered.

        Returns:
            What may leave the site, and what the trainer says that it is worth; None if the
            trainer keeps no best model.

        Raises:
            TaskError: The trainer or a filter did not succeed.
        """
        files = self._files
        answer = await self._trainer.ask("best_model", {"destination": str(files.best_local)})
        if not answer.get("there"):
            return None
        context = self._context("cross_site_outbound")
        leaving = await self._outbound.apply(files.best_local, files.filtered_best, context)
        context = self._context("site_outbound_filters")
        leaving = await self._site_outbound.apply(leaving, files.site_filtered_best, context)
        return leaving, read_metrics(answer)

    async def validate(self, model: Path) -> dict[str, float]:
        """Return what a model is worth on this site's data.

        Raises:
            TaskError: A filter or the validator did not succeed.
        """
        files, context = self._files, self._context("cross_site_inbound")
        source = await self._inbound.apply(model, files.filtered_to_validate, context)
        context = self._context("site_inbound_filters")
        source = await self._site_inbound.apply(source, files.site_filtered_to_validate, context)
        params = {"model": str(source)}
        if self._validator is None:
            return read_metrics(await self._trainer.ask("validate", params))
        if self._child is None or not self._child.alive:
            log = self._files.log("model_validator")
            self._child = await ChildProcess.start(self._validator, log=log, timeout=self._timeout)
        return read_metrics(await self._child.request("validate", params, timeout=self._timeout))

    async def close(self) -> None:
        """End the children, even in the middle of a task."""
        filters = (self._inbound, self._outbound, self._site_inbound, self._site_outbound)
        await asyncio.gather(*(chain.close() for chain in filters))
        if self._child is not None:
            await self._child.close()

    def _context(self, chain: str) -> FilterContext:
        return self._contexts.of(chain, -1, UpdateKind.WEIGHTS)
