# SPDX-License-Identifier: Apache-2.0
"""A client that is assigned to combiners: a session below one, and below another if that dies.

Its files are the run's, whichever combiner it works below: what a trainer and filters keep, and
an update that nobody has acknowledged, go with it.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from mmar_runner.client.connection.asking import Asking
from mmar_runner.client.connection.outage import MEND_BELOW
from mmar_runner.client.session import SessionOutcome, run_session
from mmar_runner.errors import CertificateError, RefusedError, UsageError
from mmar_runner.federation.run_status import RunStatus
from mmar_runner.interfaces.observer import Observation, Topic
from mmar_runner.waiting.races import unless

if TYPE_CHECKING:
    from collections.abc import Callable

    from mmar_runner.client.connection.asking import Assigned
    from mmar_runner.client.settings import SessionSettings
    from mmar_runner.errors import MmarRunnerError
    from mmar_runner.hooks import LoadedPlugins
    from mmar_runner.interfaces.observer import Observer

#: How often a controller is asked about a combiner that does not answer, in seconds; and about
#: one that does, but may have lost its parent.
_ASK_SECONDS: Final = 2.0
_LOOK_SECONDS: Final = 30.0
#: After how long another combiner is asked for than one that serves others, in seconds.
_AVOID_SECONDS: Final = 30.0
#: After how long a combiner is called again that does not know yet of its client, in seconds.
_EARLY_SECONDS: Final = 0.5
_LATEST_SECONDS: Final = 10.0
#: What shows that a combiner answers.
_ALIVE: Final = frozenset({Topic.REGISTERED, Topic.MODEL_RECEIVED, Topic.SUBMITTED, Topic.ANSWERS})


async def run_roaming(
    settings: SessionSettings,
    plugins: LoadedPlugins,
    observer: Observer,
    stop: asyncio.Event,
    *,
    preferred: str = "",
    admit: Callable[[str], None] = lambda _: None,
) -> SessionOutcome:
    """Work below the combiner that a controller assigns, until the run is over.

    Args:
        settings: What the session is started with; its target is the controller.
        plugins: The plugins in force.
        observer: Sees what happens.
        stop: Once set, the client leaves.
        preferred: The combiner that it prefers; empty for none.
        admit: Raises unless a combiner may be called at an address.

    Raises:
        MmarRunnerError: See `Asking.until_assigned` and `run_session`.
    """
    asking = Asking(settings, preferred, observer)
    told: Assigned | None = None
    pause = _EARLY_SECONDS
    try:
        while True:
            asked = await unless(asking.until_assigned(), stop.wait())
            if asked.cancelled():
                return SessionOutcome(RunStatus.STOPPED, "the session was told to stop")
            place = asked.result()
            if place != told:
                told, pause = place, _EARLY_SECONDS
                facts = {"client": settings.name, "combiner": place.combiner}
                observer.observe(Observation(Topic.ASSIGNED, {**facts, "target": place.target}))
            below = _Below(settings, place, asking, observer, admit)
            if (outcome := await below.work(plugins, stop)) is not None:
                return outcome
            if below.is_early:
                if pause == _EARLY_SECONDS:
                    facts = {"message": f"{place.combiner} to hear of its clients, with a task"}
                    observer.observe(Observation(Topic.WAITING, facts))
                await unless(asyncio.sleep(pause), stop.wait())
                pause = min(2 * pause, _LATEST_SECONDS)
    finally:
        await asking.close()


class _Below:
    """One session below one combiner; it sees whether that answers, and tells of it as usual.

    Attributes:
        is_early: Whether the combiner did not know of this client yet.
    """

    def __init__(
        self,
        settings: SessionSettings,
        place: Assigned,
        asking: Asking,
        observer: Observer,
        admit: Callable[[str], None],
    ) -> None:
        self._admit = admit
        trust = settings.trust
        self._settings = replace(
            settings,
            target=place.target,
            connect_timeout=None,  # the controller has answered: now somebody will
            reach_hint=MEND_BELOW,
            trust=None if trust is None else trust.below(place.combiner, place.target),
        )
        self._place = place
        self._asking = asking
        self._observer = observer
        self._silent = asyncio.Event()
        self.is_early = False

    async def work(self, plugins: LoadedPlugins, stop: asyncio.Event) -> SessionOutcome | None:
        """Return how the session ended; None if the client has to ask its controller again."""
        try:
            self._admit(self._place.target)
        except UsageError as error:
            await self._avoid(error)
            return None
        try:
            session = run_session(self._settings, plugins, self, stop)
            done = await unless(session, self._moved())
            return None if done.cancelled() else done.result()
        except RefusedError as error:
            if error.reason != "NOT_ASSIGNED":
                raise
            self.is_early = True  # the combiner hears of its clients with a task
        except CertificateError as error:  # ours is looked at when we ask again
            await self._avoid(error)
        return None

    async def _avoid(self, error: MmarRunnerError) -> None:
        """Ask for another combiner from now on."""
        facts = {"message": f"{self._place.combiner} is not called: {error.message}"}
        self._observer.observe(Observation(Topic.WAITING, facts))
        self._asking.shun(self._place.combiner)
        await asyncio.sleep(_ASK_SECONDS)

    def observe(self, observation: Observation) -> None:
        """See what the session tells."""
        if observation.topic is Topic.UNREACHABLE:
            self._silent.set()
        elif observation.topic in _ALIVE:
            self._silent.clear()
            self._asking.reached(self._place.combiner)
        self._observer.observe(observation)

    async def _moved(self) -> None:
        """Return once the controller names another combiner, or this one is to be avoided."""
        clock = asyncio.get_running_loop().time
        since: float | None = None
        while True:
            if not self._silent.is_set():
                since = None
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self._silent.wait()
            found = await self._asking.once()
            if found not in {None, self._place}:
                return
            if not self._silent.is_set():
                continue
            if found is None or not found.serves:  # nobody can reach it yet, or say anything of it
                since = None
            elif since is None:
                since = clock()
            elif clock() - since > _AVOID_SECONDS:
                self._asking.shun(self._place.combiner)
                since = None
            await asyncio.sleep(_ASK_SECONDS)
