# SPDX-License-Identifier: Apache-2.0
"""What a client may say of its update, and what is kept of that. Pure."""

from __future__ import annotations

import math
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from mmar_runner.errors import (
    DigestError,
    FormatError,
    NonFiniteError,
    ProtocolError,
    RefusedError,
    SchemaMismatchError,
)
from mmar_runner.federation.metrics import METRICS_RULE, are_metric_names
from mmar_runner.federation.weights import MAX_SAMPLES
from mmar_runner.interfaces.aggregator import UpdateKind
from mmar_runner.server.records.record import AcceptedUpdate
from mmar_runner.storage.codec_names import NONE, WHOLE_CODECS
from mmar_runner.storage.update_check import check_update
from mmar_runner.wire.limits import INLINE_BYTES
from mmar_runner.wire.packing import COMPRESSION, Packed, unpack

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mmar_runner.interfaces.update import UpdateFacts
    from mmar_runner.storage.model_schema import ModelSchema
    from mmar_runner.wire.messages import UpdateBegin

#: What says that the update itself is bad, whoever sends it and however often.
UNUSABLE: Final = (FormatError, SchemaMismatchError, NonFiniteError)
#: The reasons that say so; others mean that it came too late, or damaged.
UNUSABLE_REASONS: Final = frozenset(
    {
        *(error.default_reason for error in UNUSABLE),
        *("WEIGHT", "KIND", "CODEC", "METRICS", "TOO_LARGE", "PARTS", "COUNTED_TWICE"),
    }
)
#: Letters of the name that a client gives an update.
_MAX_UPDATE_ID: Final = 128
#: The longest training that is believed, in seconds: a hundred years.
_MAX_SECONDS: Final = 3.2e9
#: Letters of an unknown codec that are shown.
_SHOWN_CODEC: Final = 64


def check_announcement(
    begin: UpdateBegin,
    facts: UpdateFacts,
    schema: ModelSchema,
    cap: float,
    codec: str = NONE,
) -> None:
    """Check everything that a client says before its bytes come.

    Args:
        begin: What it says.
        facts: What that says of the update.
        schema: The tensors its update must have.
        cap: The most samples that it may claim.
        codec: In which the run's updates travel.

    Raises:
        RefusedError: WEIGHT, CODEC, KIND, METRICS or TOO_LARGE.
        ProtocolError: The update's id is too long.
    """
    check_samples(facts.num_samples, cap)
    _check_codec(facts, codec)
    if len(begin.update_id) > _MAX_UPDATE_ID:
        msg = f"an update's id has at most {_MAX_UPDATE_ID} letters"
        raise ProtocolError(msg)
    for metrics in (facts.metrics, facts.validation):
        check_metrics(metrics)
    check_size(begin, schema)


def check_inline(begin: UpdateBegin, schema: ModelSchema, *, packed: bool = False) -> bytes:
    """Check the bytes that travel with what is said of them, and return them.

    Args:
        begin: What is said of them, checked.
        schema: The tensors that they must hold.
        packed: Whether they may be compressed.

    Returns:
        The update's file, not compressed.

    Raises:
        ProtocolError: COMPRESSION, they are compressed and may not be, or not what was announced.
        DigestError: They are others than announced.
        FormatError: They are no sound safetensors file.
        SchemaMismatchError: The tensors are not the model's.
        NonFiniteError: A value is NaN or infinite.
    """
    data = _inline_bytes(begin, packed=packed)
    if len(data) != begin.total_bytes or sha256(data).hexdigest() != begin.sha256:
        msg = "the update's bytes do not have the announced length and sha256"
        raise DigestError(msg)
    check_update(data, schema)
    return data


def accepted(
    client: str,
    facts: UpdateFacts,
    digest: str,
    *,
    seconds_upload: float,
    inline: bool,
    wire_bytes: int,
) -> AcceptedUpdate:
    """Return what is recorded of an update that counts.

    Args:
        client: Whose it is.
        facts: What was said of it, checked.
        digest: The sha256 of its bytes, hex.
        seconds_upload: How long it took to come.
        inline: Whether it came with what was said of it.
        wire_bytes: How many bytes it had on its way.
    """
    return AcceptedUpdate(
        client=client,
        facts=believed(facts),
        sha256=digest,
        seconds_upload=seconds_upload,
        inline=inline,
        wire_bytes=wire_bytes,
    )


def believed(facts: UpdateFacts) -> UpdateFacts:
    """Return what is kept of checked facts: no metric or duration that is none."""
    return replace(
        facts,
        metrics=_finite(facts.metrics),
        validation=_finite(facts.validation),
        seconds_train=known_seconds(facts.seconds_train),
    )


def _inline_bytes(begin: UpdateBegin, *, packed: bool) -> bytes:
    if not begin.packed:
        return begin.inline
    if not packed:
        msg = "a compressed update was sent, and no compression is agreed on"
        raise ProtocolError(msg, reason=COMPRESSION)
    return bytes(unpack(Packed(begin.total_bytes, begin.inline)))


def check_samples(samples: float, cap: float) -> None:
    """Believe a number of samples up to a cap.

    Raises:
        RefusedError: WEIGHT.
    """
    if not math.isfinite(samples) or not 0 < samples <= cap:
        msg = f"num_samples is {samples:g}; it must be positive and at most {cap:g}"
        hint = "the MMAR's max_num_samples says what a client may claim"
        raise RefusedError(msg, reason="WEIGHT", hint=None if cap == MAX_SAMPLES else hint)


def _check_codec(facts: UpdateFacts, codec: str) -> None:
    if facts.codec != codec:
        msg = f"an update of this run travels in codec {codec}, not {facts.codec[:_SHOWN_CODEC]!r}"
        raise RefusedError(msg, reason="CODEC", hint="register again, and send what is agreed on")
    check_codec_error(facts.codec_error)
    if codec in WHOLE_CODECS and facts.kind is not UpdateKind.WEIGHT_DIFF:
        # Differences are subtracted from such updates, and what is left is no masked number.
        msg = f"an update in codec {codec} is of kind weight_diff, not {facts.kind.value}"
        raise RefusedError(msg, reason="KIND")


def check_codec_error(lost: float) -> None:
    """Refuse what no codec can have lost.

    Raises:
        RefusedError: CODEC.
    """
    if not (math.isfinite(lost) and lost >= 0):
        msg = f"codec_error is {lost:g}; it must be finite and not negative"
        raise RefusedError(msg, reason="CODEC")


def check_metrics(metrics: Mapping[str, float]) -> None:
    """Refuse metrics of which names or number are none.

    Raises:
        RefusedError: METRICS.
    """
    if not are_metric_names(metrics):
        raise RefusedError(f"these are no metrics: {METRICS_RULE}", reason="METRICS")


def check_size(begin: UpdateBegin, schema: ModelSchema) -> None:
    """Refuse an update that is longer than any of this model, or came in the wrong way.

    Raises:
        RefusedError: TOO_LARGE.
    """
    if len(begin.inline) > INLINE_BYTES or (begin.packed and begin.total_bytes > INLINE_BYTES):
        msg = f"an update of more than {INLINE_BYTES} bytes is sent in chunks"
        raise RefusedError(msg, reason="TOO_LARGE")
    limit = schema.data_bytes + schema.header_limit
    if begin.total_bytes > limit:
        msg = f"an update of {begin.total_bytes} bytes; this model's have at most {limit}"
        raise RefusedError(msg, reason="TOO_LARGE")


def known_seconds(seconds: float) -> float:
    """Return a duration that can be counted with; what no clock can say becomes 0."""
    return seconds if 0 <= seconds <= _MAX_SECONDS else 0.0


def _finite(metrics: Mapping[str, float]) -> dict[str, float]:
    """Keep what is finite: a metric may be undefined at a site, a mean may not."""
    return {name: float(metrics[name]) for name in sorted(metrics) if math.isfinite(metrics[name])}
