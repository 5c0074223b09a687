# SPDX-License-Identifier: Apache-2.0
"""What a role is: what a child process was started to do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

#: Answers one method's parameters with a JSON object.
Method = Callable[[Mapping[str, Any]], dict[str, Any]]

#: Asks the parent something: JSON objects both; raises TaskFailedError.
Ask = Callable[[Mapping[str, Any]], Mapping[str, Any]]


class Role(ABC):
    """Hosts components of one kind and answers requests with them."""

    @abstractmethod
    def methods(self) -> Mapping[str, Method]:
        """Return what can be asked, by name."""

    def close(self) -> None:
        """Let the components release what they took."""
