# SPDX-License-Identifier: Apache-2.0
"""What a deep check is at, as lines on standard error."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from mmar_runner.cli.output import say
from mmar_runner.cli.views.wording import sentence
from mmar_runner.documents.words import human_seconds

if TYPE_CHECKING:
    from mmar_runner.interfaces.observer import Observation


class DeepProgress:
    """Says what is begun, and while that takes long, what was seen last.

    Args:
        name: The MMAR's, which every line begins with.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._last = ""
        self._since = time.monotonic()

    def stage(self, text: str) -> None:
        """Say what is begun."""
        self._last, self._since = text, time.monotonic()
        say(f"{self._name}: {text}", err=True)

    def observe(self, observation: Observation) -> None:
        """Take note of what is seen."""
        self._last = sentence(observation) or self._last

    def waits(self) -> None:
        """Say what was seen last."""
        passed = human_seconds(round(time.monotonic() - self._since))
        say(f"{self._name}: {self._last} ({passed})", err=True)
