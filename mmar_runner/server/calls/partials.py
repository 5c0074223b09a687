# SPDX-License-Identifier: Apache-2.0
"""What a combiner may say of its partial sum, before its bytes come. Pure.

A combiner speaks for its sites, and nobody else has seen their updates. So whatever can be
worked out again is: the weight of every site, by the rule itself, from what that site said. Who
counts in it stands in the journal by name; no site counts in two updates of one round.
"""

from __future__ import annotations

import math
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from mmar_runner.documents.words import some_of
from mmar_runner.errors import RefusedError, RunFailedError
from mmar_runner.interfaces.update import SEPARATOR
from mmar_runner.server.calls.announcement import (
    believed,
    check_codec_error,
    check_metrics,
    check_samples,
    check_size,
    known_seconds,
)
from mmar_runner.server.members.below import MOST_LEVELS
from mmar_runner.server.members.registry import is_client_name
from mmar_runner.storage.codec_names import PARTIAL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from mmar_runner.interfaces.aggregator import TensorwiseAggregator
    from mmar_runner.interfaces.update import Part, UpdateFacts
    from mmar_runner.server.records.record import CountedUpdate
    from mmar_runner.storage.model_schema import ModelSchema
    from mmar_runner.wire.messages import UpdateBegin

#: Names of sites that are told.
_MOST_NAMES: Final = 5
_SHOWN: Final = 80


def check_partial(
    begin: UpdateBegin,
    facts: UpdateFacts,
    schema: ModelSchema,
    cap: Callable[[str], float],
    rule: TensorwiseAggregator,
) -> UpdateFacts:
    """Check everything that a combiner says of a partial sum.

    Args:
        begin: What it says.
        facts: What that says of the update.
        schema: The tensors that the sum must have, in float64.
        cap: Returns the most samples that a site may claim, by its name.
        rule: The run's; it composes.

    Returns:
        The facts as they are believed: what no clock or metric can say is left out.

    Raises:
        RefusedError: PARTS, CODEC, WEIGHT, METRICS or TOO_LARGE.
    """
    if facts.codec != PARTIAL or not facts.parts:
        msg = "a combiner sends partial sums, and says which sites count in them"
        raise RefusedError(msg, reason="PARTS", hint="install a runner of the server's version")
    check_size(begin, schema)
    _check_names(facts.parts)
    for part in facts.parts:
        said = part.facts
        with _said_of(part):
            check_samples(said.num_samples, cap(part.site))
            check_codec_error(said.codec_error)
            check_metrics(said.metrics)
            check_metrics(said.validation)
    _check_sums(facts, rule)
    return replace(facts, parts=tuple(map(_believed, facts.parts)))


def _believed(part: Part) -> Part:
    seconds, most = known_seconds(part.seconds_upload), (1 << 63) - 1
    facts = replace(believed(part.facts), bytes=min(part.facts.bytes, most))
    wire_bytes = min(part.wire_bytes, most)
    return replace(part, facts=facts, seconds_upload=seconds, wire_bytes=wire_bytes)


def refuse_parts(facts: UpdateFacts) -> None:
    """Let nobody but a combiner speak for others.

    Raises:
        RefusedError: PARTS.
    """
    if facts.parts:
        msg = "an update of a site has no parts: it speaks for itself alone"
        raise RefusedError(msg, reason="PARTS")


def require_counted_once(
    client: str, parts: Iterable[Part], accepted: Iterable[CountedUpdate]
) -> None:
    """Let every site count once in a round, by whichever way its update comes.

    Args:
        client: Who sends an update.
        parts: Of it, if it is a partial sum.
        accepted: What counts in the round already; the client's own is left out.

    Raises:
        RefusedError: COUNTED_TWICE.
    """
    sites = {part.site for part in parts} or {client}
    for other in (one.update for one in accepted if one.update.client != client):
        counted = {one.client for one in other.contributions}
        if twice := sorted(sites & counted):
            msg = (
                f"the update of {client} holds {some_of(twice, _MOST_NAMES)}, which counts in "
                f"that of {other.client} already"
            )
            hint = "a site works below one server or combiner at a time: stop it at the other"
            raise RefusedError(msg, reason="COUNTED_TWICE", hint=hint)


def _check_names(parts: tuple[Part, ...]) -> None:
    for part in parts:
        names = part.path.split(SEPARATOR)
        if len(names) > MOST_LEVELS or not all(map(is_client_name, names)):
            msg = f"{part.path[:_SHOWN]!r} is no path to a site"
            raise RefusedError(msg, reason="PARTS")
    sites = Counter(part.site for part in parts)
    if twice := sorted(site for site, times in sites.items() if times > 1):
        msg = f"a site counts twice in one partial sum: {some_of(twice, _MOST_NAMES)}"
        raise RefusedError(msg, reason="PARTS")


def _check_sums(facts: UpdateFacts, rule: TensorwiseAggregator) -> None:
    """Hold what a combiner claims against what follows from its sites' words.

    The sum of samples is exact before its one rounding, so both sides come to the same number.
    """
    if facts.num_samples != math.fsum(part.facts.num_samples for part in facts.parts):
        msg = f"the samples of its sites do not add up to the {facts.num_samples:g} it claims"
        raise RefusedError(msg, reason="PARTS")
    try:
        weights = [float(w) for w in rule.weigh([part.contribution for part in facts.parts])]
    except RunFailedError as error:
        raise RefusedError(error.message, reason="PARTS", hint=error.hint) from error
    for part, weight in zip(facts.parts, weights, strict=True):
        if part.weight != weight:
            msg = f"{part.path} weighs {weight:g} by the rule of this run, not {part.weight:g}"
            hint = "server and combiner must run the same MMAR: compare their digests"
            raise RefusedError(msg, reason="PARTS", hint=hint)
    if not math.fsum(weights) > 0:
        raise RefusedError("its sites weigh nothing together", reason="PARTS")


@contextmanager
def _said_of(part: Part) -> Iterator[None]:
    """Say of which site a check speaks that knows of none."""
    try:
        yield
    except RefusedError as error:
        msg = f"{part.path}: {error.message}"
        raise RefusedError(msg, reason=error.reason, hint=error.hint) from error
