# SPDX-License-Identifier: Apache-2.0
"""Components that failed, and the run went on without what they were to do.

A handler that reports to somebody and cannot must be found by whoever looks at the run later.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, TypeAlias

from mmar_runner.hooks.raised import told
from mmar_runner.server.wording import plain

#: Letters of what a component says that are put on record.
_SAID: Final = 500


@dataclass(frozen=True, slots=True)
class ComponentFailure:
    """One failure of one component.

    Attributes:
        component: Which, in words: ``the handler RoundHook``.
        event: At what: the name of an event, ``score`` or ``close``.
        round: In which round; None outside of rounds.
        message: Why, in a sentence.
    """

    component: str
    event: str
    round: int | None
    message: str

    @classmethod
    def of(
        cls, component: str, event: str, round_number: int | None, why: BaseException | str
    ) -> ComponentFailure:
        """Return the failure that an exception, or a sentence, tells of."""
        said = why if isinstance(why, str) else told(why)
        return cls(component, event, round_number, plain(said, _SAID))

    @property
    def sentence(self) -> str:
        """All of it in words."""
        where = "" if self.round is None else f" of round {self.round}"
        return f"{self.component} failed at {self.event}{where}: {self.message}"

    def to_json(self) -> dict[str, Any]:
        """Return it as the journal stores it."""
        return asdict(self)


#: Takes note of a failure, and of what was raised, as an exception or as a traceback's text, if
#: anything was. Any thread may call it.
NoteFailure: TypeAlias = Callable[[ComponentFailure, BaseException | str | None], None]


@dataclass(frozen=True, slots=True)
class Failures:
    """All failures of one component at one kind of event: a run may have any number of rounds.

    Attributes:
        component: Which.
        event: At what.
        times: How often.
        first_round: In which round first; None outside of rounds.
        last_round: In which round last; likewise.
        message: What was said last.
    """

    component: str
    event: str
    times: int
    first_round: int | None
    last_round: int | None
    message: str

    @classmethod
    def after(cls, before: Failures | None, data: Mapping[str, Any]) -> Failures:
        """Return what one more failure makes of those before it.

        Args:
            before: Those, if there are any.
            data: What `ComponentFailure.to_json` gave.

        Raises:
            LookupError: Something is not there.
        """
        number = data["round"]
        times, first = (0, number) if before is None else (before.times, before.first_round)
        return cls(data["component"], data["event"], times + 1, first, number, data["message"])

    def to_json(self) -> dict[str, Any]:
        """Return them as the summary and the status say them."""
        return asdict(self)
