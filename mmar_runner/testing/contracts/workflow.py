# SPDX-License-Identifier: Apache-2.0
"""What every workflow must do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import pytest

from mmar_runner.testing.contracts.laws import hold, same

if TYPE_CHECKING:
    from mmar_runner.interfaces.workflow import Workflow

_SITES = tuple(f"site-{i:02d}" for i in range(1, 13))


class WorkflowContract(ABC):
    """A workflow chooses among those who are there, and always alike."""

    @abstractmethod
    def make(self) -> Workflow:
        """Return a new workflow."""

    @pytest.mark.parametrize("per_round", [None, 1, 5, 12, 40])
    @pytest.mark.parametrize("count", [0, 1, 12])
    def test_chooses_among_the_active(self, per_round: int | None, count: int) -> None:
        """Nobody else, nobody twice, and no more than asked for."""
        active = _SITES[:count]
        for number in range(4):
            chosen = self._chosen(active, number, per_round)
            law = f"A workflow chooses for round {number} among those who are there"
            present = set(chosen) <= set(active)
            hold(law, present, expected=f"some of {active}", got=chosen)
            hold(law, len(set(chosen)) == len(chosen), expected="nobody twice", got=chosen)
            few = per_round is None or len(chosen) <= per_round
            hold(law, few, expected=f"at most {per_round}", got=chosen)
            anybody = bool(chosen) == bool(active)
            hold(law, anybody, expected="somebody, if anybody is there", got=chosen)

    @pytest.mark.parametrize("per_round", [None, 5])
    def test_same_arguments_same_answer(self, per_round: int | None) -> None:
        """Another object, or the same one asked again in another order, agrees."""
        forward = [self._chosen(_SITES, number, per_round) for number in range(5)]
        made = self.make()
        backward = [
            tuple(made.participants(_SITES, round_number=n, seed=7, per_round=per_round))
            for n in reversed(range(5))
        ]
        law = "The same round and seed give the same clients, whenever asked"
        same(law, forward, backward[::-1])

    @pytest.mark.parametrize("per_round", [None, 5])
    def test_admits_late_answers(self, per_round: int | None) -> None:
        """Whether a late client works in the round is a yes or a no."""
        answer = self.make().admits_late(per_round=per_round)
        law = "Whether a late client works in the round is a yes or a no"
        hold(law, isinstance(answer, bool), expected="True or False", got=answer)

    def test_turns_go_round(self) -> None:
        """Where turns are taken: one works, one of those there, and everybody's turn comes."""
        if not self.make().takes_turns:
            pytest.skip("no turns are taken")
        law = "One client works at a time, and one that joins waits for its turn"
        for per_round in (None, 1, 5):
            same(law, 1, len(self._chosen(_SITES, 0, per_round)))
            same(law, False, self.make().admits_late(per_round=per_round))  # noqa: FBT003
        self._goes_round(_SITES)
        self._goes_round(_SITES[:1])

    def test_a_turn_needs_nobody_who_is_gone(self) -> None:
        """Whose turn was before may be gone; one of those who are there is next."""
        if not self.make().takes_turns:
            pytest.skip("no turns are taken")
        for after in (None, *_SITES, "stranger"):
            there = tuple(site for site in _SITES[::2] if site != after)
            answers = {self.make().turn(there, after=after) for _ in range(3)}
            law = f"After the turn of {after} it is one's who is there, and always the same"
            hold(
                law,
                len(answers) == 1 and answers <= {*there},
                expected=f"one of {there}",
                got=answers,
            )

    def _goes_round(self, active: tuple[str, ...]) -> None:
        workflow, after, seen = self.make(), None, []
        for _ in range(2 * len(active)):
            after = workflow.turn(active, after=after)
            seen.append(after)
        law = "In as many turns as there are clients each has one"
        for turns in (seen[: len(active)], seen[len(active) :]):
            same(law, sorted(active), sorted(turns))

    def _chosen(
        self, active: tuple[str, ...], number: int, per_round: int | None
    ) -> tuple[str, ...]:
        workflow = self.make()
        return tuple(
            workflow.participants(active, round_number=number, seed=7, per_round=per_round)
        )
