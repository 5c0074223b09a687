# SPDX-License-Identifier: Apache-2.0
"""A finished update that the server has not answered yet, as its client keeps it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mmar_runner.interfaces.update import UpdateFacts, text

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Unsettled:
    """An update whose filters have something left to do once it counts.

    Attributes:
        round: Of the update.
        num_samples: It was trained on.
        chains: Whose filters, such as ``outbound_filters``.
    """

    round: int
    num_samples: float
    chains: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as the client's folder keeps it."""
        return {"round": self.round, "num_samples": self.num_samples, "chains": list(self.chains)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Unsettled:
        """Read what `to_json` gave.

        Raises:
            LookupError: Something is not there.
            TypeError: Something has another type.
            ValueError: Something is no number.
        """
        chains = tuple(map(text, data["chains"]))
        return cls(int(data["round"]), float(data["num_samples"]), chains)


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingUpdate:
    """A finished update that the server has not answered yet.

    Attributes:
        facts: What is said of it to the server.
        run_number: The run it belongs to.
        base_sha256: The model it was made from.
        update_id: Names its bytes.
        file: The file's name in the run's folder.
        mmar_digest: The MMAR, and the site's filters, that made it.
    """

    facts: UpdateFacts
    run_number: int
    base_sha256: str
    update_id: str
    file: str
    mmar_digest: str

    def to_json(self) -> dict[str, Any]:
        """Return it as the client's folder keeps it."""
        facts = self.facts.to_json()
        facts["total_bytes"] = facts.pop("bytes")  # so it is called there
        return {
            **facts,
            "run_number": self.run_number,
            "base_sha256": self.base_sha256,
            "update_id": self.update_id,
            "file": self.file,
            "mmar_digest": self.mmar_digest,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> PendingUpdate:
        """Read what `to_json` gave.

        Raises:
            LookupError: Something is not there.
            TypeError: Something has another type.
            ValueError: The kind of the update is unknown.
        """
        if type(data["run_number"]) is not int:
            msg = "the number of a run is none"
            raise TypeError(msg)
        return cls(
            facts=UpdateFacts.from_json({**data, "bytes": data["total_bytes"]}),
            run_number=data["run_number"],
            base_sha256=text(data["base_sha256"]),
            update_id=text(data["update_id"]),
            file=text(data["file"]),
            mmar_digest=text(data["mmar_digest"]),
        )
