# SPDX-License-Identifier: Apache-2.0
"""What is said of an update, as the message that announces it, and back."""

from __future__ import annotations

from typing import Final

from mmar_runner.errors import RefusedError
from mmar_runner.interfaces.aggregator import UpdateKind
from mmar_runner.interfaces.update import Part, UpdateFacts
from mmar_runner.storage.codec_names import NONE
from mmar_runner.wire.messages import UpdateBegin, UpdateShare

#: Letters of an unknown kind that are shown.
_SHOWN_KIND: Final = 64


def announce(
    facts: UpdateFacts, *, token: str, run_number: int, base_sha256: str, update_id: str
) -> UpdateBegin:
    """Return the message that an update begins with; its bytes follow.

    Args:
        facts: What is said of it.
        token: The client's.
        run_number: The run that it is for.
        base_sha256: Of the model that it was made from, hex.
        update_id: Names its bytes.
    """
    return UpdateBegin(
        token=token,
        run_number=run_number,
        round=facts.round,
        base_sha256=base_sha256,
        total_bytes=facts.bytes,
        update_id=update_id,
        num_samples=facts.num_samples,
        kind=facts.kind.value,
        metrics=facts.metrics,
        validation=facts.validation,
        seconds_train=facts.seconds_train,
        codec="" if facts.codec == NONE else facts.codec,
        codec_error=facts.codec_error,
        parts=map(_share, facts.parts),
    )


def announced_facts(begin: UpdateBegin) -> UpdateFacts:
    """Return what a message says of its update; nothing but the kind is judged here.

    Raises:
        RefusedError: KIND; there is none of that name.
    """
    kind = _kind(begin.kind)
    return UpdateFacts(
        round=begin.round,
        bytes=begin.total_bytes,
        num_samples=begin.num_samples,
        kind=kind,
        metrics=dict(begin.metrics),
        validation=dict(begin.validation),
        seconds_train=begin.seconds_train,
        codec=begin.codec or NONE,
        codec_error=begin.codec_error,
        parts=tuple(_part(share, begin.round, kind) for share in begin.parts),
    )


def _share(part: Part) -> UpdateShare:
    facts = part.facts
    return UpdateShare(
        path=part.path,
        weight=part.weight,
        num_samples=facts.num_samples,
        metrics=facts.metrics,
        validation=facts.validation,
        seconds_train=facts.seconds_train,
        seconds_upload=part.seconds_upload,
        bytes=facts.bytes,
        wire_bytes=part.wire_bytes,
        codec="" if facts.codec == NONE else facts.codec,
        codec_error=facts.codec_error,
    )


def _part(share: UpdateShare, round_number: int, kind: UpdateKind) -> Part:
    facts = UpdateFacts(
        round=round_number,
        bytes=share.bytes,
        num_samples=share.num_samples,
        kind=kind,
        metrics=dict(share.metrics),
        validation=dict(share.validation),
        seconds_train=share.seconds_train,
        codec=share.codec or NONE,
        codec_error=share.codec_error,
    )
    return Part(
        path=share.path,
        weight=share.weight,
        facts=facts,
        seconds_upload=share.seconds_upload,
        wire_bytes=share.wire_bytes,
    )


def _kind(name: str) -> UpdateKind:
    try:
        return UpdateKind(name)
    except ValueError as error:
        kinds = " or ".join(sorted(known.value for known in UpdateKind))
        msg = f"an update is of kind {kinds}, not {name[:_SHOWN_KIND]!r}"
        raise RefusedError(msg, reason="KIND") from error
