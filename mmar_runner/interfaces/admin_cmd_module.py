# SPDX-License-Identifier: Apache-2.0
"""What an admin command module must be: a named group of commands."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence


class AdminCmdModule(ABC):
    """Offers commands to administrators."""

    @abstractmethod
    def get_commands(self) -> Sequence[str]:
        """Return the names of the commands that the module answers."""
