# SPDX-License-Identifier: Apache-2.0
"""What happens at the site between a model and an update: filters, training, filters.

The site's own filters come last in both directions, after the MMAR's, in processes that
no code of an MMAR ever enters: nothing that an MMAR declares moves or removes them.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from functools import cached_property
from typing import TYPE_CHECKING

from mmar_runner.client.files.pending import PendingUpdate
from mmar_runner.client.tasks.component_specs import filter_spec, site_filter_spec, trainer_spec
from mmar_runner.client.tasks.evaluation import Evaluation
from mmar_runner.client.tasks.failure_words import failure_words
from mmar_runner.client.tasks.filtering import FilterChain
from mmar_runner.federation.seeds import derive_seed
from mmar_runner.interfaces.aggregator import UpdateKind
from mmar_runner.interfaces.client_trainer import TrainTask, tell_nobody
from mmar_runner.interfaces.filter import FilterContext
from mmar_runner.interfaces.update import UpdateFacts
from mmar_runner.storage.atomic import translated
from mmar_runner.waiting.threads import in_thread

if TYPE_CHECKING:
    from pathlib import Path

    from mmar_runner.client.files.workspace import RunFiles
    from mmar_runner.client.settings import SessionSettings
    from mmar_runner.client.tasks.training import TrainerHosts
    from mmar_runner.client.transfer.downloads import ReceivedModel
    from mmar_runner.errors import MmarRunnerError
    from mmar_runner.interfaces.client_trainer import Progress, TrainResult
    from mmar_runner.wire.messages import RegisterReply, TaskFailure


class LocalWork:
    """Turns received models into updates, in child processes.

    Args:
        settings: What the session was started with.
        files: The run's files.
        registration: The run's seed and number of rounds.
        hosts: Gives the client its trainer.
    """

    def __init__(
        self,
        settings: SessionSettings,
        files: RunFiles,
        registration: RegisterReply,
        hosts: TrainerHosts,
    ) -> None:
        self._settings = settings
        self._files = files
        self._registration = registration
        limit = settings.task_timeout
        self._trainer = hosts.trainer(
            trainer_spec(settings, files), log=files.log("trainer"), timeout=limit
        )
        client, own = settings.client, settings.site_filters
        specs = {
            "inbound_filters": filter_spec(settings, files, client.inbound_filters),
            "outbound_filters": filter_spec(settings, files, client.outbound_filters),
            "site_inbound_filters": site_filter_spec(settings, own.get("inbound", ())),
            "site_outbound_filters": site_filter_spec(settings, own.get("outbound", ())),
        }
        self._inbound, self._outbound, self._site_inbound, self._site_outbound = (
            FilterChain(spec, log=files.log(name), timeout=limit) for name, spec in specs.items()
        )

    @cached_property
    def evaluation(self) -> Evaluation:
        """What is done for cross-site validation; its children are there once it is asked."""
        return Evaluation(self._settings, self._files, self._trainer, self._registration.seed)

    def prepare(self) -> None:
        """Begin to get ready for the first task."""
        self._trainer.prepare()

    async def perform(
        self, model: ReceivedModel, progress: Progress = tell_nobody
    ) -> PendingUpdate:
        """Have a model trained; what must leave the site lies in the run's folder.

        Args:
            model: The task.
            progress: Hears of the trainer's steps, if it tells of any.

        Raises:
            TaskError: Training or a filter did not succeed.
            StorageError: A file cannot be written or read.
        """
        files = self._files
        if files.keeps_pending:
            # One that could not be read when it was to be sent: its file is written over now,
            # and whoever is killed meanwhile must not take what lies there for it.
            files.forget_pending()
        seed = derive_seed(self._registration.seed, self._settings.name, model.round)
        begun = time.monotonic()
        result = await self._train(model, seed, progress)
        seconds = time.monotonic() - begun
        files.state.look()
        context = self._filter_context(model.round, result.kind, seed)
        leaving = await self._outbound.apply(files.update, files.filtered_update, context)
        leaving = await self._site_outbound.apply(leaving, files.site_filtered_update, context)
        return self._finished(model, result, leaving, seconds)

    def words_for(self, error: MmarRunnerError) -> TaskFailure:
        """Return what of a failure the site lets the server know."""
        settings = self._settings
        return failure_words(error, settings.redaction, settings.spec.root)

    async def close(self) -> None:
        """End the children, even in the middle of a task."""
        filters = (self._inbound, self._outbound, self._site_inbound, self._site_outbound)
        await asyncio.gather(self._trainer.close(), *(chain.close() for chain in filters))
        if "evaluation" in self.__dict__:
            await self.evaluation.close()

    async def _train(self, model: ReceivedModel, seed: int, progress: Progress) -> TrainResult:
        files = self._files
        context = self._filter_context(model.round, UpdateKind.WEIGHTS, seed)
        source = await self._inbound.apply(model.path, files.filtered_model, context)
        source = await self._site_inbound.apply(source, files.site_filtered_model, context)
        if not files.state.pending_is_empty:
            await in_thread(files.state.clear_pending)
        return await self._trainer.train(
            TrainTask(
                run_number=files.number,
                round=model.round,
                num_rounds=self._registration.num_rounds,
                seed=seed,
                model=source,
                update=files.update,
                state=files.state.current,
                new_state=files.state.pending,
                progress=progress,
            )
        )

    def _finished(
        self, model: ReceivedModel, result: TrainResult, leaving: Path, seconds: float
    ) -> PendingUpdate:
        with translated(leaving):
            size = leaving.stat().st_size
        facts = UpdateFacts(
            round=model.round,
            bytes=size,
            num_samples=result.num_samples,
            kind=result.kind,
            metrics=dict(result.metrics),
            validation=dict(result.validation),
            seconds_train=seconds,
        )
        update = PendingUpdate(
            facts=facts,
            run_number=self._files.number,
            base_sha256=model.sha256,
            update_id=uuid.uuid4().hex,
            file=leaving.name,
            mmar_digest=self._settings.work_digest,
        )
        self._files.keep_pending(update)
        return update

    def _filter_context(self, round_number: int, kind: UpdateKind, seed: int) -> FilterContext:
        return FilterContext(self._settings.name, round_number, kind, seed)
