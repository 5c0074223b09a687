# SPDX-License-Identifier: Apache-2.0
"""The server below: one run after the other, as the runs above come and go."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from mmar_runner.errors import RunStoppedError
from mmar_runner.federation.cross_site import CrossSitePlan
from mmar_runner.interfaces.observer import Observation, Topic
from mmar_runner.server.ending import StopEvent
from mmar_runner.server.run import run_server

if TYPE_CHECKING:
    from mmar_runner.combiner.uplink import Uplink
    from mmar_runner.hooks import LoadedPlugins
    from mmar_runner.interfaces.observer import Observer
    from mmar_runner.mmar.spec import ServerSpec
    from mmar_runner.server.settings import ServerSettings
    from mmar_runner.server.settling import RunOutcome
    from mmar_runner.wire.messages import RegisterReply


class Below:
    """Serves the clients below.

    Args:
        settings: What the command line says of the server; the rest is the parent's.
        plugins: The plugins in force.
        observer: Sees what the server observes.
    """

    def __init__(
        self, settings: ServerSettings, plugins: LoadedPlugins, observer: Observer
    ) -> None:
        self._settings = settings
        self._plugins = plugins
        self._observer = observer
        self._stop = StopEvent()
        self._serving: asyncio.Task[RunOutcome] | None = None
        self.uplink: Uplink | None = None

    async def begin(self, uplink: Uplink, told: RegisterReply) -> asyncio.Task[RunOutcome]:
        """Serve a run that belongs to one above, instead of any that was served before.

        Args:
            uplink: The way up.
            told: What the parent says of that run.

        Returns:
            What ends with the run.
        """
        await self.stop("the server above works on another run, or has gone back a round")
        self.uplink, self._stop = uplink, StopEvent()
        spec = replace(self._settings.spec, server=spec_below(self._settings.server, told))
        settings = replace(self._settings, spec=spec, seed=told.seed, upstream=uplink)
        serving = run_server(settings, self._plugins, self._observer, self._stop)
        self._serving = asyncio.create_task(serving)
        return self._serving

    def tell(self, message: str) -> None:
        """Say what is waited for."""
        self._observer.observe(Observation(Topic.WAITING, {"message": message}))

    async def stop(self, reason: str) -> RunOutcome | None:
        """Stop the run that is served, if one is: the same command goes on with it.

        Raises:
            MmarRunnerError: It had ended with an error before.
        """
        self._stop.ask(reason)
        return await self.ended()

    async def ended(self) -> RunOutcome | None:
        """Wait until the run that is served is over; None if there is none, or it had not begun.

        Raises:
            MmarRunnerError: It ended with an error.
        """
        serving, self._serving = self._serving, None
        if serving is None:
            return None
        with suppress(RunStoppedError):  # before it had begun
            return await serving
        return None


def spec_below(server: ServerSpec, told: RegisterReply) -> ServerSpec:
    """Return what the MMAR declares for a server, as it holds at a combiner.

    Rounds are the parent's. What acts on models or on the whole run is done above, where the
    models are: handlers, results, filters, validation.

    Args:
        server: What the MMAR declares.
        told: What the parent says of the run.
    """
    return replace(
        adding(server),
        start_round=told.start_round,
        num_rounds=told.num_rounds,
        validate_every=told.validate_every or None,
        # The parent says with every task of how many it needs updates.
        min_num_clients=1 if told.assigns else server.min_num_clients,
    )


def adding(server: ServerSpec) -> ServerSpec:
    """Return what an MMAR declares for a server without what acts on models or on the whole run.

    A combiner builds none of that: it may be code of the MMAR, which runs at no combiner.

    Args:
        server: What the MMAR declares.
    """
    return replace(
        server,
        checkpoint=None,
        model_persistor=None,
        model_validator=None,
        outbound_filters=(),
        handlers=(),
        result_processors=(),
        cross_site=CrossSitePlan(enabled=False),
    )
