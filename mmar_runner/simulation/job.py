# SPDX-License-Identifier: Apache-2.0
"""What the simulation tells its server process, as one JSON object."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mmar_runner.simulation.settings import SimulationSettings
from mmar_runner.storage.durability import Durability


@dataclass(frozen=True, slots=True)
class Job:
    """One server's work.

    Attributes:
        settings: The simulation's settings.
        listen: Where the server listens, ``unix:/path``.
        log_level: From which level on its log messages are wanted.
    """

    settings: SimulationSettings
    listen: str
    log_level: int = logging.WARNING

    def to_json(self) -> dict[str, Any]:
        """Return the job as a JSON object."""
        fields = asdict(self.settings)
        settings = {k: str(v) if isinstance(v, Path) else v for k, v in fields.items()}
        return {"settings": settings, "listen": self.listen, "log_level": self.log_level}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Job:
        """Return the job in a JSON object that `to_json` made."""
        fields = dict(value["settings"])
        plugins_dir, policy = fields["plugins_dir"], fields["policy"]
        fields |= {
            "mmar": Path(fields["mmar"]),
            "workspace": Path(fields["workspace"]),
            "plugins_dir": None if plugins_dir is None else Path(plugins_dir),
            "policy": None if policy is None else Path(policy),
            "durability": Durability(fields["durability"]),
        }
        return cls(SimulationSettings(**fields), value["listen"], value["log_level"])
