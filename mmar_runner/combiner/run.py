# SPDX-License-Identifier: Apache-2.0
"""Runs a combiner from its settings to the end of the run that it is a part of."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.client.session import run_session
from mmar_runner.combiner.below import Below, adding
from mmar_runner.combiner.work import CombinerWork
from mmar_runner.errors import RunFailedError
from mmar_runner.federation.run_status import RunStatus, run_end
from mmar_runner.interfaces.observer import Topic
from mmar_runner.server.components.building import ServerComponents
from mmar_runner.server.members.tree import obstacle

if TYPE_CHECKING:
    import asyncio
    from pathlib import Path

    from mmar_runner.client.files.workspace import RunFiles
    from mmar_runner.client.settings import SessionSettings
    from mmar_runner.hooks import LoadedPlugins
    from mmar_runner.interfaces.observer import Observation, Observer
    from mmar_runner.server.settings import ServerSettings
    from mmar_runner.wire.messages import RegisterReply

#: What a combiner tells of its session: the line to its parent. The rest the server below tells.
_TOLD_OF_ABOVE: Final = frozenset(
    {
        Topic.CONNECTING,
        Topic.UNREACHABLE,
        Topic.ANSWERS,
        Topic.REGISTERED,
        Topic.WAITING,
        Topic.SUBMITTED,
        Topic.REFUSED,
    }
)


@dataclass(frozen=True, slots=True)
class CombinerSettings:
    """What a combiner is started with.

    Attributes:
        server: Towards its clients. Its spec is the MMAR's own: what holds here follows.
        session: Towards its parent; its spec is the same.
    """

    server: ServerSettings
    session: SessionSettings


@dataclass(frozen=True, slots=True)
class CombinerOutcome:
    """How a combiner's run ended.

    Attributes:
        status: Finished, failed or stopped.
        reason: Why, if it did not finish.
        run_folder: Where the files of its own run lie; None if it never had one.
        summary: What the ``summary.json`` there says; empty if it never had one.
        hint: Where to look if it failed, or empty.
    """

    status: RunStatus
    reason: str
    run_folder: Path | None
    summary: dict[str, Any]
    hint: str = ""


async def run_combiner(
    settings: CombinerSettings, plugins: LoadedPlugins, observer: Observer, stop: asyncio.Event
) -> CombinerOutcome:
    """Work for the run above until it is over, or until told to stop.

    Raises:
        RunFailedError: DOES_NOT_COMPOSE, updates of this MMAR's run cannot be added up.
        RefusedError: The parent does not want this combiner, or its name is taken.
        RunStoppedError: The run below could not go on.
        MmarRunnerError: See `run_server` and `run_session`.
    """
    require_composing(settings.server, plugins)
    below = Below(settings.server, plugins, observer)
    try:
        above = await run_session(
            settings.session,
            plugins,
            _Above(observer),
            stop,
            work=partial(_work, settings.session, below),
        )
    except BaseException:
        await below.stop("the combiner has ended")
        raise
    if above.status is RunStatus.STOPPED:
        outcome = await below.stop(above.reason)
    else:
        if below.uplink is not None:
            below.uplink.end(run_end(above.status), above.reason)
        outcome = await below.ended()
    if outcome is None:
        return CombinerOutcome(above.status, above.reason, None, {})
    ended = outcome if outcome.status is RunStatus.FAILED else above
    folder, summary = outcome.run_folder, outcome.summary
    return CombinerOutcome(ended.status, ended.reason, folder, summary, outcome.hint)


def require_composing(settings: ServerSettings, plugins: LoadedPlugins) -> None:
    """Refuse an MMAR whose updates cannot be added up below its server.

    Raises:
        RunFailedError: DOES_NOT_COMPOSE; or a component cannot be built.
    """
    declared = settings.server
    components = ServerComponents(
        replace(adding(declared), inbound_filters=()),  # that there are any is enough
        plugins.registry,
        allowed=settings.allowed_path_prefixes,
    )
    why = obstacle(declared, components.aggregator, components.workflow)
    if why:
        msg = f"no combiner can work for {settings.spec.name}: {why}"
        hint = (
            "let its sites come to the server itself, or choose a rule such as FedAvg; "
            "`mmar-runner validate-mmar --tree` says where it is declared"
        )
        raise RunFailedError(msg, hint=hint, reason="DOES_NOT_COMPOSE")


def _work(
    settings: SessionSettings, below: Below, files: RunFiles, told: RegisterReply
) -> CombinerWork:
    return CombinerWork(settings, files, told, below)


class _Above:
    """Tells of the session what the server below does not."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer

    def observe(self, observation: Observation) -> None:
        if observation.topic in _TOLD_OF_ABOVE:
            self._observer.observe(observation)
