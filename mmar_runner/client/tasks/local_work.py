# SPDX-License-Identifier: Apache-2.0
"""What happens at the site between a model and an update: filters, training, filters.

The site's own filters come last in both directions, after the MMAR's, in processes that
no code of an MMAR ever enters: nothing that an MMAR declares moves or removes them.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from functools import cached_property, partial
from typing import TYPE_CHECKING, NamedTuple

from mmar_runner.client.files.pending import PendingUpdate, Unsettled
from mmar_runner.client.tasks.component_specs import filter_spec, site_filter_spec, trainer_spec
from mmar_runner.client.tasks.encoding import encoding_spec
from mmar_runner.client.tasks.evaluation import Evaluation
from mmar_runner.client.tasks.failure_words import failure_words
from mmar_runner.client.tasks.filter_contexts import FilterContexts
from mmar_runner.client.tasks.filtering import FilterChain
from mmar_runner.errors import TaskFailedError
from mmar_runner.federation.seeds import derive_seed
from mmar_runner.federation.validated_rounds import is_validated
from mmar_runner.interfaces.aggregator import UpdateKind
from mmar_runner.interfaces.client_trainer import TrainTask, tell_nobody
from mmar_runner.interfaces.update import UpdateFacts
from mmar_runner.storage.atomic import translated
from mmar_runner.storage.codec_names import NONE, WHOLE_CODECS
from mmar_runner.waiting.threads import in_thread

if TYPE_CHECKING:
    from pathlib import Path

    from mmar_runner.children.process import Asked
    from mmar_runner.client.files.workspace import RunFiles
    from mmar_runner.client.settings import SessionSettings
    from mmar_runner.client.tasks.encoding import Encoder
    from mmar_runner.client.tasks.training import TrainerHosts
    from mmar_runner.client.transfer.downloads import ReceivedModel
    from mmar_runner.client.transfer.exchanges import ExchangeCall
    from mmar_runner.errors import MmarRunnerError
    from mmar_runner.interfaces.client_trainer import Progress, TrainResult
    from mmar_runner.wire.messages import RegisterReply, SiteState, TaskFailure


class _Passing(NamedTuple):
    """A file on its way through filters."""

    path: Path
    kind: UpdateKind
    num_samples: float = 0.0
    encoded: bool = False
    settles: tuple[str, ...] = ()


class LocalWork:
    """Turns received models into updates, in child processes.

    Args:
        settings: What the session was started with.
        files: The run's files.
        registration: The run's seed and number of rounds.
        hosts: Gives the client its trainer.
        exchange: Hands in what filters exchange with other sites; None lets them not.
    """

    def __init__(
        self,
        settings: SessionSettings,
        files: RunFiles,
        registration: RegisterReply,
        hosts: TrainerHosts,
        exchange: ExchangeCall | None = None,
    ) -> None:
        self._exchange = exchange
        self._settings = settings
        self._files = files
        self._registration = registration
        limit = settings.task_timeout
        self._trainer = hosts.trainer(
            trainer_spec(settings, files), log=files.log("trainer"), timeout=limit
        )
        self._encoder: Encoder | None = None
        self._takes_whole = registration.update_codec in WHOLE_CODECS
        if registration.update_codec and not self._takes_whole:
            spec = encoding_spec(settings)
            self._encoder = hosts.encoder(spec, log=files.log("codec"), timeout=limit)
        client, own = settings.client, settings.site_filters
        specs = {
            "inbound_filters": filter_spec(settings, files, client.inbound_filters),
            "outbound_filters": filter_spec(settings, files, client.outbound_filters),
            "site_inbound_filters": site_filter_spec(settings, own.get("inbound", ())),
            "site_outbound_filters": site_filter_spec(settings, own.get("outbound", ())),
        }
        self._filters = {
            name: FilterChain(spec, log=files.log(name), timeout=limit)
            for name, spec in specs.items()
        }
        self._contexts = FilterContexts(settings, files, registration)

    @property
    def leaves_older(self) -> bool:
        """Whether a task is left for a newer one: the trainer has each done."""
        return False

    @property
    def cross_validates(self) -> bool:
        """Whether the site takes part in cross-site validation; nobody else decides that."""
        return self._settings.client.cross_validate

    @cached_property
    def evaluation(self) -> Evaluation:
        """What is done for cross-site validation; its children are there once it is asked."""
        return Evaluation(self._settings, self._files, self._trainer, self._contexts)

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
        for state in (files.state, files.filter_state):
            if not state.pending_is_empty:
                await in_thread(state.clear_pending)
        begun = time.monotonic()
        result = await self._train(model, seed, progress)
        seconds = max(0.0, time.monotonic() - begun - self._trainer.waited)
        files.state.look()
        update = _Passing(files.update, result.kind, result.num_samples)
        leaving = await self._through("outbound_filters", model, update, files.filtered_update)
        self._require_readable(leaving)
        leaving = await self._through(
            "site_outbound_filters", model, leaving, files.site_filtered_update
        )
        files.filter_state.look()
        self._require_agreed(leaving)
        codec, lost = self._registration.update_codec or NONE, 0.0
        if self._encoder is not None:
            lost = await self._encoder.encode(leaving.path, files.wire_update, codec)
            leaving = leaving._replace(path=files.wire_update)
        return self._finished(model, result, leaving, seconds, codec=(codec, lost))

    def below(self) -> list[SiteState]:
        """Return nothing: no site works below a client."""
        return []

    def words_for(self, error: MmarRunnerError) -> TaskFailure:
        """Return what of a failure the site lets the server know."""
        settings = self._settings
        return failure_words(error, settings.redaction, settings.spec.root)

    async def close(self) -> None:
        """End the children, even in the middle of a task."""
        chains = self._filters.values()
        own = [self._trainer.close()] + ([self._encoder.close()] if self._encoder else [])
        await asyncio.gather(*own, *(chain.close() for chain in chains))
        if "evaluation" in self.__dict__:
            await self.evaluation.close()

    async def _train(self, model: ReceivedModel, seed: int, progress: Progress) -> TrainResult:
        files, told = self._files, self._registration
        source = _Passing(model.path, UpdateKind.WEIGHTS)
        source = await self._through("inbound_filters", model, source, files.filtered_model)
        source = await self._through(
            "site_inbound_filters", model, source, files.site_filtered_model
        )
        return await self._trainer.train(
            TrainTask(
                run_number=files.number,
                round=model.round,
                num_rounds=told.num_rounds,
                seed=seed,
                model=source.path,
                update=files.update,
                state=files.state.current,
                new_state=files.state.pending,
                progress=progress,
                validate=is_validated(model.round, told.validate_every, num_rounds=told.num_rounds),
            )
        )

    def _finished(
        self,
        model: ReceivedModel,
        result: TrainResult,
        leaving: _Passing,
        seconds: float,
        *,
        codec: tuple[str, float],
    ) -> PendingUpdate:
        with translated(leaving.path):
            size = leaving.path.stat().st_size
        said: dict[str, float] = {}
        for chain in self._filters.values():
            said.update(chain.metrics)
        facts = UpdateFacts(
            round=model.round,
            bytes=size,
            num_samples=result.num_samples,
            kind=leaving.kind,
            metrics={**result.metrics, **said},
            validation=dict(result.validation),
            seconds_train=seconds,
            codec=codec[0],
            codec_error=codec[1],
        )
        update = PendingUpdate(
            facts=facts,
            run_number=self._files.number,
            base_sha256=model.sha256,
            update_id=uuid.uuid4().hex,
            file=leaving.path.name,
            mmar_digest=self._settings.work_digest,
        )
        if leaving.settles:  # first: an update that is sent must not be left unsettled
            facts_left = Unsettled(model.round, result.num_samples, leaving.settles)
            self._files.keep_unsettled(facts_left)
        self._files.keep_pending(update)
        return update

    async def settle(self, unsettled: Unsettled) -> None:
        """Let filters do what is left once their update was acknowledged.

        Raises:
            TaskError: A filter failed.
        """
        for chain in unsettled.chains:
            context = self._contexts.of(
                chain, unsettled.round, UpdateKind.WEIGHT_DIFF, unsettled.num_samples
            )
            if (asked := self._asked(unsettled.round)) is not None and chain in self._filters:
                await self._filters[chain].settle(context, asked)

    def _asked(self, round_number: int) -> Asked | None:
        return None if self._exchange is None else partial(self._exchange, round_number)

    def _require_readable(self, leaving: _Passing) -> None:
        """Let no filter of the site work on what a filter of the MMAR made unreadable.

        Raises:
            TaskFailedError: FILTER_ORDER.
        """
        if leaving.encoded and not self._filters["site_outbound_filters"].is_empty:
            msg = "a filter of the MMAR masks the update, and the site's own filters come after it"
            hint = "declare the masking filter as the last of the site's own, in site_policy.json"
            raise TaskFailedError(msg, hint=hint, reason="FILTER_ORDER")

    def _require_agreed(self, leaving: _Passing) -> None:
        """Send nothing readable where nothing readable is taken, and the other way round.

        Raises:
            TaskFailedError: CODEC.
        """
        if leaving.encoded and not self._takes_whole:
            msg = "a filter masks the update, and the server's aggregator takes no masked ones"
            hint = "both belong together: SecAggFilter at the clients, SecureSum at the server"
            raise TaskFailedError(msg, hint=hint, reason="CODEC")
        if self._takes_whole and not leaving.encoded:
            msg = "the server's aggregator takes masked updates only, and no filter masks this one"
            hint = "declare SecAggFilter as the last of the outbound filters"
            raise TaskFailedError(msg, hint=hint, reason="CODEC")

    async def _through(
        self, chain: str, model: ReceivedModel, passing: _Passing, destination: Path
    ) -> _Passing:
        """Send a file through the filters of one direction; what comes out may be the same."""
        filters = self._filters[chain]
        if filters.is_empty:
            return passing
        context = self._contexts.of(chain, model.round, passing.kind, passing.num_samples)
        out = chain.endswith("outbound_filters")
        asked = self._asked(model.round) if out else None
        path = await filters.apply(passing.path, destination, context, model, asked)
        if not out:
            return passing._replace(path=path)
        answer = filters.answer
        return passing._replace(
            path=path,
            kind=UpdateKind(answer["kind"]),
            encoded=bool(answer["encoded"]),
            settles=(*passing.settles, chain) if answer["settles"] else passing.settles,
        )
