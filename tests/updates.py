# SPDX-License-Identifier: Apache-2.0
"""Updates as tests want them: everything that a test does not care about is said already."""

from __future__ import annotations

from typing import Any

from mmar_runner.interfaces.aggregator import UpdateKind
from mmar_runner.interfaces.update import UpdateFacts
from mmar_runner.server.records.record import AcceptedUpdate


def facts(number: int = 0, **said: Any) -> UpdateFacts:
    """Return what is said of an update for a round."""
    usual: dict[str, Any] = {"bytes": 1, "num_samples": 1.0, "kind": UpdateKind.WEIGHTS}
    usual |= {"metrics": {}, "validation": {}, "seconds_train": 0.5}
    return UpdateFacts(round=number, **{**usual, **said})


def accepted(client: str, number: int = 0, *, sha256: str = "s", **said: Any) -> AcceptedUpdate:
    """Return an update that was accepted, and lies in the journal unless ``inline`` is false."""
    inline = said.pop("inline", True)
    wire_bytes = said.pop("wire_bytes", said.get("bytes", 1))
    return AcceptedUpdate(
        client=client,
        facts=facts(number, **said),
        sha256=sha256,
        seconds_upload=0.25,
        inline=inline,
        wire_bytes=wire_bytes,
    )
