# SPDX-License-Identifier: Apache-2.0
"""What every wait of a run is for, and since when; and what its clients are at."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.documents.words import some_of
from mmar_runner.federation.client_status import ClientStatus
from mmar_runner.federation.run_status import RunStatus
from mmar_runner.server.members.below import below_of
from mmar_runner.server.status.round_of import round_of
from mmar_runner.server.telling.reminder import SHOWN
from mmar_runner.server.wording import utc

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mmar_runner.federation.client_status import Progress
    from mmar_runner.federation.sites import Sites
    from mmar_runner.server.components.results import ResultDesk
    from mmar_runner.server.members.members import Members
    from mmar_runner.server.members.registry import Client, SiteBelow
    from mmar_runner.server.rounds.coordinator import Coordinator
    from mmar_runner.server.rounds.open_round import OpenRound
    from mmar_runner.server.status.facts import (
        ClientFacts,
        FailureFacts,
        MissingFacts,
        OutlierFacts,
        RunFacts,
        SiteFacts,
    )
    from mmar_runner.server.telling.events import EventDispatcher
    from mmar_runner.server.telling.space import DiskWait

#: By how many seconds the two clocks must part before the wall clock is read again.
_CLOCK_SET: Final = 0.5


class Board:
    """Looks at the parts of a run and says what it is at. Used from the event loop.

    Args:
        coordinator: Runs the rounds.
        members: Knows the clients.
        disk: Knows what waits for space.
        components: Know which handler, hook or result processor is at work.
        sites: Who may take part; none if nobody knows.
        run_number: The run.
        num_rounds: The round to stop at.
        declined: Gives a sentence about the sites that declined; empty if none did.
        failed: Gives the components that failed while the run went on.
        outliers: Gives the clients whose updates were unlike the others'.
        aggregation: Gives what the aggregator said last.
        clock: Seconds since 1970.
    """

    def __init__(
        self,
        coordinator: Coordinator,
        members: Members,
        disk: DiskWait,
        components: Sequence[EventDispatcher | ResultDesk],
        *,
        sites: Sites,
        run_number: int,
        num_rounds: int,
        declined: Callable[[], str] = str,
        failed: Callable[[], list[FailureFacts]] = list,
        outliers: Callable[[], list[OutlierFacts]] = list,
        aggregation: Callable[[], Mapping[str, Any]] = dict,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._coordinator = coordinator
        self._members = members
        self._disk = disk
        self._components = components
        self._sites = sites
        self._run_number = run_number
        self._num_rounds = num_rounds
        self._declined = declined
        self._failed = failed
        self._outliers = outliers
        self._aggregation = aggregation
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._begun = self._looked = self._loop.time()
        self._offset = clock() - self._begun
        self._seen: dict[str, tuple[tuple[object, ...], float]] = {}

    def facts(self) -> RunFacts:
        """Return what ``status.json`` says of a run that goes on."""
        names = self._shown_clients()
        clients = [self._client(name) for name in names]
        waiting_for, since = self.waits()
        kept = {"", *names}
        self._seen = {key: seen for key, seen in self._seen.items() if key in kept}
        self._looked = self._loop.time()
        facts: RunFacts = {
            "status": RunStatus.RUNNING,
            "reason": "",
            "run_number": self._run_number,
            "num_rounds": self._num_rounds,
            "round": self._coordinator.next_round,
            "min_clients": self._coordinator.min_clients,
            "waiting_for": waiting_for,
            "since": self._utc(since) if waiting_for else None,
            "clients": clients,
            "missing": [self._one_missing(name, since) for name, since in self._missing()],
            "components_failed": self._failed(),
            "outliers": self._outliers(),
        }
        if said := self._aggregation():
            facts["aggregation"] = dict(said)
        return facts

    def waits(self) -> tuple[str, float]:
        """Return in a sentence what the run waits for, and since when on the loop's clock.

        The sentence is empty if it waits for nothing.
        """
        if self._disk.waits:
            return self._disk.waits, self._loop.time() - (self._clock() - self._disk.since)
        number, phase = self._coordinator.next_round, self._coordinator.phase
        if phase == "over":
            unreturned, since = self._last_wait()
            return unreturned or "the run's files to be settled", since
        since = self._since("", phase, number)
        if phase == "updates":
            return self._coordinator.waiting_for(self._describe), since
        sentence = self._coordinator.waiting_for()
        if phase == "clients":
            names = [f"{name} since {self._utc(left)}" for name, left in self._missing()]
            missing = f"missing {some_of(names, SHOWN)}" if names else ""
            # Who declined is missing as well, and does not come by itself: this is said first.
            sentence = "; ".join(filter(None, (sentence, self._declined(), missing)))
        return sentence, since

    def ended_facts(self, status: RunStatus, reason: str) -> RunFacts:
        """Return what ``status.json`` says of a run that has ended, while its server is there."""
        facts = self.facts()
        unreturned, since = self._last_wait()
        return {
            **facts,
            "status": status,
            "reason": reason,
            "round": round_of(status, facts["round"]),
            "waiting_for": unreturned,
            "since": self._utc(since) if unreturned else None,
            "missing": [],
        }

    def unreturned(self) -> str:
        """Return which of the MMAR's components is waited for; empty if none is at work."""
        doing = next(filter(None, (part.doing for part in self._components)), "")
        return doing and f"{doing} to return"

    def waits_since(self) -> tuple[str, str]:
        """Return what `waits` does, with the time as ISO 8601 says it."""
        sentence, since = self.waits()
        return sentence, self._utc(since)

    def _last_wait(self) -> tuple[str, float]:
        unreturned = self.unreturned()
        return unreturned, self._since("", "over", unreturned)

    def _describe(self, name: str) -> str:
        state, since = self._state(name)
        if state is ClientStatus.EXPECTED:
            return f"{name}, not heard of since the server's start at {self._utc(since)}"
        word = "not there" if state is ClientStatus.LEFT else state
        return f"{name}, {word} since {self._utc(since)}"

    def _missing(self) -> list[tuple[str, float]]:
        """Return who is waited for, and since when they are at it, or have not been there."""
        phase = self._coordinator.phase
        if phase in {"updates", "validation"}:
            return [(name, self._state(name)[1]) for name in self._coordinator.missing()]
        if phase != "clients":
            return []
        left = {client.name: client.since for client in self._members.departed()}
        for site in self._sites.absent(self._members.present()):
            left.setdefault(site, self._begun)
        return sorted(left.items())

    def _shown_clients(self) -> list[str]:
        """Return who is there, and who is gone and waited for."""
        gone = {client.name for client in self._members.departed()}
        waited = {name for name, _ in self._missing()}
        return sorted({*self._members.present(), *(gone & waited)})

    def _client(self, name: str) -> ClientFacts:
        known, (state, since) = self._members.known(name), self._state(name)
        current = self._coordinator.round
        progress = None if known is None else _of_now(known)
        facts: ClientFacts = {
            "name": name,
            "state": state,
            "since": self._utc(since),
            "round": None if current is None or not _is_asked(current, name) else current.number,
            "last_heard": None if known is None or known.heard is None else self._utc(known.heard),
            "progress": progress,
        }
        if known is not None and known.below and state is not ClientStatus.LEFT:
            facts["below"] = [_site(one) for one in below_of(known)]
        return facts

    def _one_missing(self, name: str, since: float) -> MissingFacts:
        return {"name": name, "since": self._utc(since)}

    def _state(self, name: str) -> tuple[ClientStatus, float]:
        """Return what a client is at, and since when on the loop's clock."""
        client = self._members.known(name)
        if client is None or client.state is ClientStatus.LEFT:
            return ClientStatus.LEFT, self._begun if client is None else client.since
        current = self._coordinator.round
        if current is not None and name in current.invited and not current.closing:
            task = (current.number, current.invited[name])
            if client.heard is None:
                return ClientStatus.EXPECTED, self._begun
            state = _at_work(client, task)
            return state, self._since_heard(client, state, *task)
        if current is not None and name in current.accepted:
            validates = self._coordinator.phase == "validation" and client.state.at_work
            state = client.state if validates else ClientStatus.DONE
            return state, self._since_heard(client, state, current.number)
        if client.heard is None:
            return ClientStatus.EXPECTED, self._begun
        return ClientStatus.IDLE, self._since_heard(client, ClientStatus.IDLE)

    def _since_heard(self, client: Client, state: ClientStatus, *what: object) -> float:
        """Return since when a client is as it is.

        What has changed since the last look has changed when it was last heard of, unless it
        was asked for something.
        """
        heard = client.heard
        recent = state is not ClientStatus.ASKED and heard is not None and heard > self._looked
        return self._since(client.name, state, *what, at=heard if recent else None)

    def _since(self, whose: str, *what: object, at: float | None = None) -> float:
        """Return since when it is as it is: since it was first looked at, unless given."""
        before = self._seen.get(whose)
        if before is None or before[0] != what:
            before = self._seen[whose] = (what, self._loop.time() if at is None else at)
        return before[1]

    def _utc(self, at: float) -> str:
        """Return a time of the loop's clock as ISO 8601 says it, always cut the same way."""
        offset = self._clock() - self._loop.time()
        if abs(offset - self._offset) > _CLOCK_SET:
            self._offset = offset
        return utc(at + self._offset)


def _is_asked(current: OpenRound, name: str) -> bool:
    """Return True if a client is, or was, to work in a round."""
    return name in current.invited or name in current.accepted


def _at_work(client: Client, task: tuple[int, int]) -> ClientStatus:
    """Return what a client does that has a task: heartbeats say it only now and then.

    One that has neither fetched the round's model nor said that it works on it is ``asked``.
    """
    progress = _of_now(client)
    if progress is not None and progress["unit"] == "bytes":
        return ClientStatus.TRANSFERRING
    if client.given != task and client.works_on != task[0]:
        return ClientStatus.ASKED
    validates = client.state is ClientStatus.VALIDATING
    return client.state if validates else ClientStatus.TRAINING


def _of_now(client: Client) -> Progress | None:
    """Return how far a client is with what it does now; a transfer that is complete is past."""
    progress = client.progress
    if progress is None or (progress["unit"] == "bytes" and progress["done"] >= progress["total"]):
        return None
    return progress.copy()


def _site(site: SiteBelow) -> SiteFacts:
    return {"name": site.path, "state": site.state, "round": None if site.round < 0 else site.round}
