# SPDX-License-Identifier: Apache-2.0
"""What a result processor must be: the server's answer to a topic.

Clients send results (a topic and a JSON object) with SendResult; the server hands
each to the processor that claims the topic and returns its reply.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class ResultContext:
    """Where a result came from.

    Attributes:
        client: The name of the client that sent it.
        run_number: The run it belongs to.
        run_folder: ``WORKSPACE/run_<N>``; a processor writes below it.
        newest_round: The round that is open, or opens next: nobody has results of a later
            one. None if it is not known.
    """

    client: str
    run_number: int
    run_folder: Path
    newest_round: int | None = None


class ResultProcessor(ABC):
    """Processes the results of one or more topics. Called from one thread, in order."""

    @abstractmethod
    def get_topics(self) -> Sequence[str]:
        """Return the topics this processor answers."""

    @abstractmethod
    def process(
        self, topic: str, result: Mapping[str, Any], context: ResultContext
    ) -> Mapping[str, Any]:
        """Process one result and return the reply, a JSON object."""

    def close(self) -> None:
        """Flush and release; called once, after the run's last result."""
