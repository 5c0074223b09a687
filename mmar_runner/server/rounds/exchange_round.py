# SPDX-License-Identifier: Apache-2.0
"""The exchange of one round: which phase it is at, who has handed in what, what is answered.

Decisions only: whoever holds it computes the answers, in a thread, and keeps the file.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mmar_runner.errors import RefusedError

if TYPE_CHECKING:
    from mmar_runner.interfaces.exchange import ExchangeHandler


@dataclass(slots=True)
class ExchangeRound:
    """One exchange, from its first payload to its last answer.

    Attributes:
        number: The round.
        exchange_id: Names it on the disk.
        handler: Says what phases there are.
        over: Payloads of the phases that are over, by phase and client.
        answers: What they were answered.
        posts: Payloads of the phase under way.
        late: Whether the phase under way waits for nobody any more.
        busy: Whether its answers are being computed.
        lost: Members that were started anew: what they know does not go with what they had said.
    """

    number: int
    exchange_id: str
    handler: ExchangeHandler
    over: dict[str, dict[str, bytes]] = field(default_factory=dict)
    answers: dict[str, Mapping[str, bytes]] = field(default_factory=dict)
    posts: dict[str, bytes] = field(default_factory=dict)
    late: bool = False
    busy: bool = False
    lost: set[str] = field(default_factory=set)

    @property
    def phases(self) -> tuple[str, ...]:
        """All phases, in order."""
        return (*self.handler.before, self.handler.at_close, *self.handler.after)

    @property
    def phase(self) -> str | None:
        """The phase under way; None once all are over."""
        return self.phases[len(self.over)] if len(self.over) < len(self.phases) else None

    @property
    def takes_updates(self) -> bool:
        """Whether the phases before the update are over, and none of those after."""
        return self.phase == self.handler.at_close

    def members(self) -> Collection[str] | None:
        """Return who takes part in the phase under way; None for whoever was invited."""
        phases = [*self.over]
        return self.over[phases[-1]].keys() if phases else None

    def answer(self, phase: str, client: str, payload: bytes) -> bytes | None:
        """Return what a client is answered, or None if that is not known yet.

        Raises:
            RefusedError: EXCHANGE_OVER, the phase went by without it, or with another payload;
                EXCHANGE_PHASE, there is no such phase now.
        """
        if phase in self.over:
            if (known := self.over[phase].get(client)) is not None and known != payload:
                self.lost.add(client)  # it was started anew, with other keys
            if known != payload or client not in self.answers[phase]:
                raise self.gone_by(client)
            return self.answers[phase][client]
        if phase not in self.phases:
            msg = f"{self.handler.topic} has no phase {phase[:64]!r}"
            raise RefusedError(msg, reason="EXCHANGE_PHASE")
        members = self.members()
        if members is not None and client not in members:
            raise self.gone_by(client)
        if phase != self.phase:
            msg = f"{self.handler.topic} is at the phase {self.phase}, not at {phase}"
            raise RefusedError(msg, reason="EXCHANGE_PHASE")
        return None

    def post(self, phase: str, client: str, payload: bytes) -> None:
        """Take a payload of the phase under way; one that came before is replaced.

        Raises:
            RefusedError: EXCHANGE_PAYLOAD, the protocol has no use for it.
        """
        if phase == self.handler.at_close:
            return  # its payloads are the updates
        try:
            self.handler.check(phase, client, payload)
        except ValueError as error:
            msg = f"{self.handler.topic}, phase {phase}: {error}"
            raise RefusedError(msg, reason="EXCHANGE_PAYLOAD") from error
        self.posts[client] = payload

    def is_complete(self, there: Collection[str], minimum: int) -> bool:
        """Whether the phase under way need not wait any longer.

        Args:
            there: Who may still hand something in.
            minimum: Of how many clients a round needs updates: no exchange begins with fewer.
        """
        phase, members = self.phase, self.members()
        if phase is None or phase == self.handler.at_close or self.busy or not self.posts:
            return False
        awaited = set(there) - self.posts.keys() - self.lost
        if members is not None:
            awaited &= set(members)
        elif len(self.posts) < max(minimum, self.handler.least(phase)):
            return False  # whoever comes next is one of them
        return not awaited or self.late

    def is_hopeless(self, there: Collection[str]) -> bool:
        """Whether a phase before the updates lacks members that cannot come any more.

        Args:
            there: Who may still hand something in.
        """
        phase, members = self.phase, self.members()
        if phase not in self.handler.before or members is None or self.busy:
            return False
        could = (set(there) & set(members) - self.lost) | self.posts.keys()
        return len(could) < self.handler.least(phase)

    def complete(self, phase: str, answers: Mapping[str, bytes]) -> None:
        """Let a phase be over; it is on the disk."""
        self.answers[phase] = answers
        self.posts, self.late, self.busy = {}, False, False

    def require_member(self, client: str) -> None:
        """Refuse an update of whoever did not take part until now: nobody could use it.

        Raises:
            RefusedError: EXCHANGE_OVER or EXCHANGE_PHASE.
        """
        if self.handler.at_close in self.over:
            if client not in self.over[self.handler.at_close]:
                raise self.gone_by(client)
        elif not self.takes_updates:
            msg = f"an update comes after the phases of {self.handler.topic}: {self.phase} is next"
            raise RefusedError(msg, reason="EXCHANGE_PHASE")
        elif client not in (self.members() or ()):
            raise self.gone_by(client)

    def gone_by(self, client: str) -> RefusedError:
        """Return the error of a client without which the others have gone on."""
        msg = f"{self.handler.topic} in round {self.number} has gone on without {client}"
        hint = "it takes part again in the next round"
        return RefusedError(msg, reason="EXCHANGE_OVER", hint=hint)
