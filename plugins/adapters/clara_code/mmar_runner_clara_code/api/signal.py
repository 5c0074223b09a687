# SPDX-License-Identifier: Apache-2.0
"""The signal by which a trainer is asked to stop."""

from __future__ import annotations

from typing import Any


class Signal:
    """Says whether somebody wants the work to stop.

    Attributes:
        triggered: Whether that is so.
        value: What was said with it.
    """

    def __init__(self) -> None:
        self.triggered = False
        self.value: Any = None

    def trigger(self, value: Any = None) -> None:
        """Ask for a stop."""
        self.value = True if value is None else value
        self.triggered = True

    def reset(self) -> None:
        """Take that back."""
        self.value = None
        self.triggered = False
