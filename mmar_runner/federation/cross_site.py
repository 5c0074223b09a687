# SPDX-License-Identifier: Apache-2.0
"""Cross-site validation decided: whose best model is awaited, who validates what, and until when.

Once the rounds are done, every client that takes part submits its best local model, and
validates everybody's, and the server's, on its own data. What comes is a matrix; a cell is
settled when its client has answered, or when nobody waits for it any more. That moment always
comes: a model is waited for until one time, an answer until another, and a client that has left
for so long only. So nobody can keep the run from its end.

Where a `CellEmpty` or `ModelLacking` is decided here, whoever feeds the machine puts it on record.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from mmar_runner.federation import events
from mmar_runner.federation.actions import SetTimer

#: What the server's models are called, as in archives of Clara 4: owners beside the clients.
FINAL_MODEL: Final = "FL_global_model"
BEST_MODEL: Final = "best_FL_global_model"


@dataclass(frozen=True, slots=True)
class CrossSitePlan:
    """How cross-site validation is done; times in seconds.

    Attributes:
        enabled: Whether it is done at all; clients say for themselves whether they take part.
        submit_seconds: How long best local models are waited for.
        deadline_seconds: How long all of it may take.
        absent_seconds: How long a client is waited for that has left.
    """

    enabled: bool = True
    submit_seconds: float = 600.0
    deadline_seconds: float = 6600.0
    absent_seconds: float = 300.0


@dataclass(frozen=True, slots=True)
class ModelGiven:
    """A client's best local model is there."""

    client: str


@dataclass(frozen=True, slots=True)
class ModelLacking:
    """There is no best local model of a client, for a reason; as an event and as an action."""

    client: str
    reason: str


@dataclass(frozen=True, slots=True)
class CellAnswered:
    """A client has answered for one model: by metrics, or by why there are none."""

    client: str
    owner: str


@dataclass(frozen=True, slots=True)
class CellEmpty:
    """Nobody waits any more for what a model is worth on a client's data."""

    client: str
    owner: str
    reason: str


@dataclass(frozen=True, slots=True)
class ValidationOver:
    """Every cell is settled."""


CrossSiteEvent: TypeAlias = (
    events.ClientJoined
    | events.ClientLeft
    | events.ClientRemoved
    | events.Tick
    | ModelGiven
    | ModelLacking
    | CellAnswered
)
CrossSiteAction: TypeAlias = ModelLacking | CellEmpty | SetTimer | ValidationOver


class CrossSiteMachine:
    """Decides one cross-site validation.

    The last two arguments are for a server that takes one up; the times begin anew then.

    Args:
        plan: How long whom to wait for.
        now: When it begins, in seconds of any clock that does not run backwards.
        participants: Who takes part; each is taken to be there until it is said to have left.
        server_models: What the server's own models are called.
        models: Whose best model is there (True), or will never be (False).
        settled: The cells that are settled, by client and owner.

    Attributes:
        participants: Who takes part, sorted.
    """

    def __init__(
        self,
        plan: CrossSitePlan,
        now: float,
        *,
        participants: Collection[str],
        server_models: Collection[str],
        models: Mapping[str, bool] | None = None,
        settled: Collection[tuple[str, str]] = (),
    ) -> None:
        self._plan = plan
        self._server_models = tuple(server_models)
        self.participants = tuple(sorted(participants))
        self._models = dict(models or {})
        self._settled = set(settled)
        self._left: dict[str, float] = {}
        self._gone: dict[str, str] = {}
        self._submit_at = now + min(plan.submit_seconds, plan.deadline_seconds)
        self._deadline = now + plan.deadline_seconds
        self._timer: float | None = None
        self.over = False

    @property
    def owners(self) -> tuple[str, ...]:
        """Whose models are there: the server's, then the clients' by name."""
        return (*self._server_models, *(c for c in self.participants if self._models.get(c)))

    @property
    def all_submitted(self) -> bool:
        """Whether no further model will come."""
        return all(client in self._models for client in self.participants)

    def admit(self, client: str) -> bool:
        """Let a client take part that has come late; return False if it may no more, or does.

        As long as models are awaited it is as any other.
        """
        if self.over or self.all_submitted or client in self.participants:
            return False
        self.participants = tuple(sorted({*self.participants, client}))
        return True

    def outstanding(self, client: str) -> list[str]:
        """Return whose models a client is still to validate, of those that are there."""
        if client not in self.participants or client in self._gone:
            return []
        return [owner for owner in self.owners if (client, owner) not in self._settled]

    def awaits_model(self, client: str) -> bool:
        """Return whether a client's best model may still come."""
        return client in self.participants and client not in self._models and not self.over

    def missing(self) -> list[str]:
        """Return who is waited for, sorted."""
        if self.over:
            return []
        return [
            client
            for client in self.participants
            if client not in self._models or self.outstanding(client)
        ]

    def waiting_for(self) -> str:
        """Say in one sentence what is waited for; empty if it is over."""
        if self.over:
            return ""
        of_all = len(self.participants)
        missing = ", ".join(self.missing())
        if not self.all_submitted:
            have = f"{len(self._models)} of {of_all} best local models are there, or never will be"
        else:
            cells = len(self.owners) * of_all
            settled = sum((c, o) in self._settled for c in self.participants for o in self.owners)
            have = f"{settled} of {cells} validations are settled"
        return f"cross-site validation: {have}; missing {missing}"

    def handle(self, event: CrossSiteEvent, now: float) -> list[CrossSiteAction]:
        """Take one event and return what is to be done, in order.

        Args:
            event: What happened.
            now: When.
        """
        if self.over:
            return []
        self._take(event, now)
        return self._advance(now)

    def _take(self, event: CrossSiteEvent, now: float) -> None:
        match event:
            case events.ClientJoined(client):
                self._left.pop(client, None)
            case events.ClientLeft(client):
                self._left.setdefault(client, now)
            case events.ClientRemoved(client):
                self._gone.setdefault(client, "it was removed from the run")
            case ModelGiven(client):
                self._models.setdefault(client, True)
            case ModelLacking(client):
                self._models.setdefault(client, False)
            case CellAnswered(client, owner):
                self._settled.add((client, owner))
            case events.Tick():
                self._timer = None

    def _advance(self, now: float) -> list[CrossSiteAction]:
        for client, left in self._left.items():
            if now >= left + self._plan.absent_seconds:
                why = f"it left and was not back after {self._plan.absent_seconds:g} s"
                self._gone.setdefault(client, why)
        # In this order: a cell is waited for once it is known whose models there are.
        lacking = self._models_that_lack(now)
        done = [*lacking, *self._cells_that_stay_empty(now)]
        if self.all_submitted and not any(map(self.outstanding, self.participants)):
            self.over = True
            return [*done, ValidationOver()]
        return [*done, *self._wait(now)]

    def _models_that_lack(self, now: float) -> list[CrossSiteAction]:
        late = f"it sent no best model within {self._plan.submit_seconds:g} s"
        lacking: list[CrossSiteAction] = []
        for client in self.participants:
            why = self._gone.get(client, late if now >= self._submit_at else "")
            if client not in self._models and why:
                self._models[client] = False
                lacking.append(ModelLacking(client, why))
        return lacking

    def _cells_that_stay_empty(self, now: float) -> list[CrossSiteAction]:
        if not self.all_submitted:
            return []
        late = f"it did not answer within {self._plan.deadline_seconds:g} s"
        empty: list[CrossSiteAction] = []
        for client in self.participants:
            why = self._gone.get(client, late if now >= self._deadline else "")
            for owner in self.owners if why else ():
                if (client, owner) not in self._settled:
                    self._settled.add((client, owner))
                    empty.append(CellEmpty(client, owner, why))
        return empty

    def _wait(self, now: float) -> list[CrossSiteAction]:
        absent = [
            left + self._plan.absent_seconds
            for client, left in self._left.items()
            if client in self.participants and client not in self._gone
        ]
        due = [self._deadline, *absent, *([] if self.all_submitted else [self._submit_at])]
        at = min(time for time in due if time > now)
        if at == self._timer:
            return []
        self._timer = at
        return [SetTimer(at)]
