# SPDX-License-Identifier: Apache-2.0
"""Tells whoever watches how far transfers are, where that has changed.

Steps of a training are told as they come, with the heartbeats.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmar_runner.interfaces.observer import Observation, Topic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mmar_runner.federation.client_status import Progress
    from mmar_runner.interfaces.observer import Observer
    from mmar_runner.server.status.facts import ClientFacts


class ProgressTeller:
    """Remembers what was told of each client.

    Args:
        observer: Whoever watches.
    """

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._told: dict[str, Progress] = {}

    def tell(self, clients: Sequence[ClientFacts]) -> None:
        """Tell how far clients are.

        Args:
            clients: As `Board.facts` gives them.
        """
        known = {c["name"]: c["progress"] for c in clients if c["progress"] is not None}
        now = {name: told for name, told in known.items() if told["unit"] == "bytes"}
        for name, progress in now.items():
            if progress != self._told.get(name):
                self._observer.observe(
                    Observation(Topic.CLIENT_PROGRESS, {"client": name, **progress})
                )
        self._told = now
