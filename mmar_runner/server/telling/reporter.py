# SPDX-License-Identifier: Apache-2.0
"""Tells handlers, hooks and whoever watches what the coordinator does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mmar_runner.documents.words import some_of
from mmar_runner.federation.failures import Failures
from mmar_runner.interfaces.handler import EventType
from mmar_runner.interfaces.observer import Observation, Topic
from mmar_runner.server.telling.reminder import AGAIN_SECONDS, FIRST_SECONDS, SHOWN, Reminder, gone

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from mmar_runner.federation.sites import Sites
    from mmar_runner.interfaces.observer import Observer
    from mmar_runner.server.records.record import AcceptedUpdate, Rejected, Removed
    from mmar_runner.server.telling.events import EventDispatcher


class Reporter:
    """One sentence for each thing that happens to a round.

    Attributes:
        who_declined: Which sites declined, why, and what that means for the run; empty if
            none did.

    Args:
        dispatcher: Tells handlers and hooks.
        observer: Tells whoever watches.
        num_rounds: The round to stop at.
        remind_after: After how long, and then how often, it is told again what is waited
            for, in seconds.
    """

    def __init__(
        self,
        dispatcher: EventDispatcher,
        observer: Observer,
        *,
        num_rounds: int,
        remind_after: tuple[float, float] = (FIRST_SECONDS, AGAIN_SECONDS),
    ) -> None:
        self._dispatcher = dispatcher
        self._observer = observer
        self._num_rounds = num_rounds
        self._said = ""
        self._waits_for = ""
        self.who_declined = ""
        self._disk = ""
        self._for_clients = False
        self._missing: Callable[[], str] = str
        self._present: Callable[[], Collection[str]] = tuple
        self._round = -1
        self._unanswered: set[str] = set()
        self._failures = Failures()
        self._reminder = Reminder(self._remind, *remind_after)

    def expect(self, sites: Sites, present: Callable[[], Collection[str]]) -> None:
        """Know who could come, to say who is missing.

        Args:
            sites: Who may take part.
            present: Gives the names of the clients that are there.
        """
        self._missing = lambda: some_of(sorted(sites.absent(present())), SHOWN)
        self._present = present

    def round_started(self, number: int, clients: Sequence[str]) -> None:
        """A round is open."""
        self._waits_for = ""
        self._round, self._unanswered = number, set(clients)
        self._reminder.begin()
        self._dispatcher.emit(EventType.ROUND_STARTED, number, clients=list(clients))
        self._observe(
            Topic.ROUND_STARTED,
            round=number,
            num_rounds=self._num_rounds,
            participants=list(clients),
        )

    def before_aggregation(self, number: int, clients: Sequence[str]) -> None:
        """A round takes no more updates."""
        self._unanswered.clear()
        self._reminder.end()
        self._dispatcher.emit(EventType.BEFORE_AGGREGATION, number, clients=list(clients))

    def update_accepted(self, update: AcceptedUpdate) -> None:
        """An update counts."""
        self._unanswered.discard(update.client)
        facts = update.facts
        told: dict[str, Any] = {"client": update.client, "num_samples": facts.num_samples}
        told["metrics"] = facts.reported
        self._dispatcher.emit(EventType.UPDATE_ACCEPTED, facts.round, **told)
        self._observe(
            Topic.UPDATE_ACCEPTED,
            round=facts.round,
            bytes=facts.bytes,
            wire_bytes=update.wire_bytes,
            seconds_train=facts.seconds_train,
            **told,
        )

    def update_refused(self, rejected: Rejected) -> None:
        """A client's work is not usable."""
        again = self._failures.note(rejected.round, rejected.cause, rejected.client)
        self._observe(Topic.UPDATE_REFUSED, **rejected.to_json(), again=again)

    def task_failed(self, rejected: Rejected) -> None:
        """A client's work did not come about: it says so itself, with paths of its own."""
        again = self._failures.note(rejected.round, rejected.cause, rejected.client)
        self._observe(Topic.TASK_FAILED, **rejected.to_json(), again=again)

    def client_removed(self, removed: Removed, sentence: str) -> None:
        """An administrator removed a client.

        Args:
            removed: What goes on record of it.
            sentence: What that means for the open round.
        """
        self._unanswered.discard(removed.client)
        told = {"client": removed.client, "reason": removed.reason, "round": removed.round}
        self._observe(Topic.CLIENT_REMOVED, **told, message=sentence)

    def min_clients(self, number: int, before: int, round_number: int) -> None:
        """An administrator changed of how many sites a round needs updates."""
        self._observe(Topic.MIN_CLIENTS, number=number, before=before, round=round_number)

    def task_given_again(self, client: str, round_number: int) -> None:
        """An administrator gave a client its task again."""
        self._observe(Topic.TASK_GIVEN_AGAIN, client=client, round=round_number)

    def turn_passed(self, number: int, client: str, before: str) -> None:
        """A client works in place of one that was lost, or failed for good."""
        self._unanswered.discard(before)
        self._unanswered.add(client)
        self._observe(Topic.TURN_PASSED, round=number, client=client, before=before)

    def waiting(self, message: str, *, for_clients: bool = False) -> None:
        """Nothing goes on; said at once for every reason, and again while it lasts.

        Args:
            message: What is waited for; empty if nothing any more.
            for_clients: Whether it is clients.
        """
        began = message and not self._waits_for
        self._waits_for, self._for_clients = message, for_clients
        if not message:
            if not self._disk:
                self._reminder.end()
            return
        if began:
            self._reminder.begin()
        self._say_waiting()

    def goes_on(self) -> None:
        """Somebody works in the open round; nothing happens unless it stood still."""
        if self._waits_for:
            self._waits_for = ""
            self._reminder.begin()

    def disk_full(self, sentence: str) -> None:
        """Something waits for space on a disk: said at once, and again while it lasts.

        Args:
            sentence: What, and since when; empty if nothing any more.
        """
        self._disk = sentence
        if sentence:
            self._say_waiting()
        elif not self._waits_for and not self._unanswered:
            self._reminder.end()

    def declined(self, sentence: str, *, aloud: bool = True) -> None:
        """Sites declined: whoever waits is told so, now and from now on.

        Args:
            sentence: Who, and what that means for the run; empty if nobody any more.
            aloud: Whether it is told now; else with what is told next.
        """
        self.who_declined = sentence
        if self._waits_for and aloud:
            self._say_waiting()

    def close(self) -> None:
        """Say nothing any more of what is waited for, but that a disk is full."""
        self._waits_for = ""
        self._unanswered.clear()
        if not self._disk:
            self._reminder.end()

    def _say_waiting(self) -> None:
        message = self._message()
        if message != self._said:
            self._said = message
            self._reminder.begin()
            self._observe(Topic.WAITING, message=message)

    def _remind(self, seconds: float) -> None:
        if self._waits_for or self._disk:
            missing = self._missing() if self._for_clients else ""
            parts = (self._message(), missing and f"not there: {missing}")
        else:
            # Whoever is there works; a round that waits for somebody who has gone stands still.
            if not (missing := gone(self._unanswered, self._present())):
                return
            parts = (f"round {self._round}: updates are missing", f"not there: {missing}")
        message = "; ".join(filter(None, parts))
        self._observe(Topic.WAITING, message=message, since_seconds=round(seconds, 3))

    def _message(self) -> str:
        return "; ".join(filter(None, (self._disk, self._waits_for, self.who_declined)))

    def _observe(self, topic: Topic, **data: Any) -> None:
        self._observer.observe(Observation(topic, data))
