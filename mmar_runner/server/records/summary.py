# SPDX-License-Identifier: Apache-2.0
"""Builds ``summary.json``: what a run did, round by round."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mmar_runner.federation.run_status import RunStatus
from mmar_runner.interfaces.update import Part
from mmar_runner.storage.atomic import write_json_atomic
from mmar_runner.storage.memory import peak_rss_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from mmar_runner.interfaces.update import UpdateFacts
    from mmar_runner.server.records.record import AcceptedUpdate, LostModel, Rejected
    from mmar_runner.server.records.workspace import RunFolder


def weighted_metrics(
    updates: Iterable[UpdateFacts],
    *,
    validation_only: bool = False,
    weights: Sequence[float] | None = None,
) -> dict[str, float]:
    """Return the mean of every metric over the clients that report it.

    Weights are numbers of samples, unless given; what nobody with a weight reports is left out.
    Clients are taken in the given order, so that the
    same updates give the same numbers. A mean beyond all numbers is left out.
    """
    sums: dict[str, float] = {}
    totals: dict[str, float] = {}
    for index, update in enumerate(updates):
        weight = update.num_samples if weights is None else weights[index]
        metrics = update.validation if validation_only else update.reported
        for name, value in metrics.items():
            sums[name] = sums.get(name, 0.0) + value * weight
            totals[name] = totals.get(name, 0.0) + weight
    means = {name: sums[name] / totals[name] for name in sums if totals[name] > 0}
    return {name: mean for name, mean in means.items() if math.isfinite(mean)}


def round_summary(
    number: int,
    updates: Sequence[AcceptedUpdate],
    weights: Sequence[float],
    *,
    seconds: float,
    rejected: Sequence[Rejected],
    metrics: Mapping[str, float],
    model_sha256: str,
    aggregation: Mapping[str, Any],
) -> dict[str, Any]:
    """Return one entry of ``rounds``; without ``aggregation`` if the rule says nothing of it."""
    said = {"aggregation": dict(aggregation)} if aggregation else {}
    return {
        "round": number,
        "seconds": round(seconds, 6),
        "contributions": [
            _contribution(part, staleness)
            for part, staleness in zip(
                shares_of(updates, weights), _staleness(updates), strict=True
            )
        ],
        "received_bytes": sum(update.facts.bytes for update in updates),
        "received_wire_bytes": sum(update.wire_bytes for update in updates),
        "rejected": [_rejection(one) for one in rejected],
        "metrics": dict(metrics),
        "model_sha256": model_sha256,
        **said,
    }


def shares_of(updates: Sequence[AcceptedUpdate], weights: Sequence[float]) -> list[Part]:
    """Return every site's share in a round; those of a combiner one by one.

    Args:
        updates: Of the round, in order.
        weights: Of the sites, in the same order.
    """
    shares = (share for update in updates for share in _shares(update))
    return [replace(one, weight=w) for one, w in zip(shares, weights, strict=True)]


def _staleness(updates: Sequence[AcceptedUpdate]) -> Iterator[int]:
    return (update.staleness for update in updates for _ in update.said)


def _shares(update: AcceptedUpdate) -> list[Part]:
    if update.facts.parts:
        return [part.below(update.client) for part in update.facts.parts]
    seconds, wire_bytes = update.seconds_upload, update.wire_bytes
    own = Part(
        path=update.client,
        weight=0.0,
        facts=update.facts,
        seconds_upload=seconds,
        wire_bytes=wire_bytes,
    )
    return [own]


def _contribution(part: Part, staleness: int) -> dict[str, Any]:
    facts = part.facts
    return {
        "client": part.path,
        "num_samples": facts.num_samples,
        "weight": part.weight,
        "bytes": facts.bytes,
        "wire_bytes": part.wire_bytes,
        "codec": facts.codec,
        "codec_error": facts.codec_error,
        "seconds_train": round(facts.seconds_train, 6),
        "seconds_upload": round(part.seconds_upload, 6),
        **({"staleness": staleness} if staleness else {}),
    }


def _rejection(rejected: Rejected) -> dict[str, Any]:
    said: dict[str, Any] = {"client": rejected.client, "reason": rejected.cause}
    return said | ({"log": list(rejected.log)} if rejected.log else {})


class Summary:
    """The summary of one run, written when something ends.

    Args:
        folder: The run's folder.
        name: The MMAR's name.
        digest: Its digest.
        rounds: Reads the entries of the closed rounds. They are not kept in memory: a run may
            have any number of rounds and clients.
        failed: Gives the components that failed while the run went on.
        lost: Models that were lost: the run went back a round for each.
        cross_site: Gives what is known of cross-site validation; None before it has begun.
        durable: Whether the summary of an ended run, which nothing makes again, is on the
            disk before `write` returns.
    """

    def __init__(
        self,
        folder: RunFolder,
        *,
        name: str,
        digest: str,
        rounds: Callable[[], list[dict[str, Any]]],
        failed: Callable[[], list[dict[str, Any]]],
        lost: Sequence[LostModel] = (),
        cross_site: Callable[[], dict[str, Any] | None] = lambda: None,
        durable: bool = False,
    ) -> None:
        self._folder = folder
        self._rounds = rounds
        self._failed = failed
        self._lost = lost
        self._cross_site = cross_site
        self._durable = durable
        self._best_round: int | None = None
        self._facts: dict[str, Any] = {
            "run_number": folder.number,
            "mmar": {"name": name, "digest": digest},
        }

    def set_best(self, round_number: int) -> None:
        """Say which round's result is the best so far."""
        self._best_round = round_number

    def write(
        self, status: RunStatus, reason: str, *, wall_seconds: float, final: str | None = None
    ) -> dict[str, Any]:
        """Write ``summary.json`` and return what it says.

        Raises:
            StorageError: It cannot be written.
        """
        summary = self.facts(status, reason, wall_seconds=wall_seconds, final=final)
        for_good = self._durable and status is not RunStatus.RUNNING
        write_json_atomic(self._folder.summary, summary, for_good)
        return summary

    def with_failures(self, summary: dict[str, Any]) -> dict[str, Any]:
        """Return a summary with the components that failed since; if some did, it is written.

        Raises:
            StorageError: It cannot be written.
        """
        failed = self._failed()
        if failed == summary.get("components_failed", []):
            return summary
        summary = {**summary, "components_failed": failed}
        write_json_atomic(self._folder.summary, summary, self._durable)
        return summary

    def facts(
        self, status: RunStatus, reason: str, *, wall_seconds: float, final: str | None = None
    ) -> dict[str, Any]:
        """Return what ``summary.json`` would say."""
        best = None if self._best_round is None else "models/best.safetensors"
        cross_site = self._cross_site()
        return {
            "status": status.value,
            "reason": reason,
            **self._facts,
            "rounds": self._rounds(),
            "models_lost": [lost.to_json() for lost in self._lost],
            "components_failed": self._failed(),
            **({} if cross_site is None else {"cross_site_validation": cross_site}),
            "final_model": final,
            "best_round": self._best_round,
            "best_model": best,
            "peak_rss_bytes": peak_rss_bytes(),
            "wall_seconds": round(wall_seconds, 6),
        }
