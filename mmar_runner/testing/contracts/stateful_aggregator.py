# SPDX-License-Identifier: Apache-2.0
"""What every aggregator must do that keeps tensors from round to round."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pytest

from mmar_runner.testing.contracts.aggregator import AggregatorContract
from mmar_runner.testing.contracts.laws import hold, same

if TYPE_CHECKING:
    from mmar_runner.interfaces.server_state import StatefulAggregator

_ELEMENTS = 5000
_ROUNDS = 3
_NAME = "layer.weight"

#: A slot's tensor, by the slot's name.
_State = dict[str, npt.NDArray[np.float64]]


class StatefulAggregatorContract(AggregatorContract):
    """The laws of a state, beside those of aggregation."""

    @abstractmethod
    def make(self) -> StatefulAggregator:
        """Return a new aggregator."""

    def test_sees_differences(self) -> None:
        """A step is added to the model, so what it is made of must be differences."""
        seen = self.make().on_differences
        hold("A rule that makes steps sees differences", seen, expected="True", got=seen)

    def test_slots_begin_with_finite_numbers(self) -> None:
        """Each slot has a name that metadata can hold, and a finite first value."""
        for slot, value in self.make().state.items():
            law = "A slot is named by an identifier, and begins with a finite number"
            fits = slot.isidentifier() and math.isfinite(value)
            hold(law, fits, expected="such", got=(slot, value))

    def test_steps_are_finite(self) -> None:
        """A block of finite means gives one finite number per element, and a finite state."""
        step, state = self._stepped(self.make(), self._first(), 0)
        law = "A step is one finite number per element"
        hold(law, step.shape == (_ELEMENTS,), expected=f"the shape ({_ELEMENTS},)", got=step)
        hold(law, np.isfinite(step).all(), expected="no NaN and no infinity", got=step)
        for values in state.values():
            law = "What is kept is finite"
            hold(law, np.isfinite(values).all(), expected="no NaN and no infinity", got=values)

    @pytest.mark.parametrize("block", [1, 7, 4096])
    def test_block_size_does_not_matter_to_steps(self, block: int) -> None:
        """Bit for bit, in what is added and in what is kept."""
        whole, whole_state = self._stepped(self.make(), self._first(), 0)
        step, state = self._stepped(self.make(), self._first(), 0, block=block)
        law = f"Steps in blocks of {block} are, bit for bit, those of the whole tensor"
        same(law, whole, step)
        for slot, values in whole_state.items():
            same(f"{law}, and so is what is kept", values, state[slot])

    def test_a_state_resumes(self) -> None:
        """Another instance goes on from the state as the first would have: nothing else is kept."""
        rule, state, other_state = self.make(), self._first(), self._first()
        for number in range(_ROUNDS):
            expected, state = self._stepped(rule, state, number)
            got, other_state = self._stepped(self.make(), other_state, number)
            law = "An instance that is new in every round makes the same steps, bit for bit"
            same(law, expected, got)
            for slot, values in state.items():
                same(f"{law}, and keeps the same", values, other_state[slot])

    def test_a_step_may_be_made_again(self) -> None:
        """A round is walked once more from the same state: the same bits come of it."""
        rule, (_, state) = self.make(), self._stepped(self.make(), self._first(), 0)
        first, _ = self._stepped(rule, state, 1)
        again, _ = self._stepped(rule, state, 1)
        same("A step that is made again from the same state is the same", first, again)

    def _first(self) -> _State:
        return {slot: np.full(_ELEMENTS, value) for slot, value in self.make().state.items()}

    def _stepped(
        self, rule: StatefulAggregator, before: _State, number: int, *, block: int = _ELEMENTS
    ) -> tuple[npt.NDArray[Any], _State]:
        """Return a round's step and the state after it; the one before is left as it is."""
        random = np.random.default_rng(number)
        base, mean = random.normal(size=(2, _ELEMENTS)) * 10.0
        base.setflags(write=False)  # it is still needed: the step is added to it
        state = {slot: values.copy() for slot, values in before.items()}
        steps = []
        for start in range(0, _ELEMENTS, block):
            part = slice(start, start + block)
            blocks = {slot: values[part] for slot, values in state.items()}
            steps.append(rule.step(_NAME, base[part], mean[part].copy(), blocks))
        return np.concatenate(steps), state
