# SPDX-License-Identifier: Apache-2.0
"""Clients whose updates were unlike the others', however many rounds a run has."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Outlying:
    """All rounds in which one client's update was unlike the others'.

    Attributes:
        client: Which.
        times: In how many rounds.
        first_round: In which first.
        last_round: In which last.
        message: What was said of it last.
    """

    client: str
    times: int
    first_round: int
    last_round: int
    message: str

    @classmethod
    def after(cls, before: Outlying | None, data: Mapping[str, Any]) -> Outlying:
        """Return what one more round makes of those before it.

        Args:
            before: Those, if there are any.
            data: What `Outlier.to_json` gave.

        Raises:
            LookupError: Something is not there.
        """
        number = data["round"]
        times, first = (0, number) if before is None else (before.times, before.first_round)
        return cls(data["client"], times + 1, first, number, data["message"])

    def to_json(self) -> dict[str, Any]:
        """Return it as the summary and the status say it."""
        return asdict(self)
