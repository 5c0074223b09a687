# SPDX-License-Identifier: Apache-2.0
"""What a client may say of its update, and what is kept of it."""

from __future__ import annotations

import json
import math
import struct
from hashlib import sha256
from typing import Any

import pytest
import zstandard

from mmar_runner.errors import (
    DigestError,
    MmarRunnerError,
    NonFiniteError,
    ProtocolError,
    RefusedError,
    SchemaMismatchError,
)
from mmar_runner.federation.weights import MAX_SAMPLES
from mmar_runner.interfaces.aggregator import UpdateKind
from mmar_runner.server.calls.announcement import accepted, check_announcement, check_inline
from mmar_runner.storage.model_schema import ModelSchema
from mmar_runner.wire.limits import INLINE_BYTES
from mmar_runner.wire.messages import UpdateBegin
from mmar_runner.wire.update_facts import announced_facts

SCHEMA = ModelSchema({"a": ("F32", (2,))})
MOST_BYTES = SCHEMA.data_bytes + SCHEMA.header_limit


def begin(**changes: Any) -> UpdateBegin:
    facts = {"update_id": "u", "num_samples": 3.0, "kind": "weights", "total_bytes": 100}
    return UpdateBegin(**{**facts, **changes})


def look(said: UpdateBegin, cap: float) -> None:
    check_announcement(said, announced_facts(said), SCHEMA, cap)


def inline(*values: float, name: str = "a") -> UpdateBegin:
    header = json.dumps({name: {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    header += b" " * (-len(header) % 8)
    data = struct.pack("<Q", len(header)) + header + struct.pack("<2f", *values)
    return begin(inline=data, total_bytes=len(data), sha256=sha256(data).hexdigest())


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"num_samples": 10.0},
        {"kind": "weight_diff"},
        {"update_id": "u" * 128},
        {"metrics": {f"m{k}": 1.0 for k in range(256)}},
        {"validation": {"x" * 128: math.nan}},
        {"inline": bytes(INLINE_BYTES)},
        {"total_bytes": MOST_BYTES},
    ],
)
def test_what_is_usual_may_be_said(changes: dict[str, Any]) -> None:
    look(begin(**changes), 10.0)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        *(({"num_samples": n}, "WEIGHT") for n in (0.0, -1.0, 10.5, math.nan, math.inf)),
        ({"update_id": "u" * 129}, "PROTOCOL"),
        ({"kind": "gradients"}, "KIND"),
        ({"kind": ""}, "KIND"),
        ({"metrics": {f"m{k}": 1.0 for k in range(257)}}, "METRICS"),
        ({"validation": {"": 1.0}}, "METRICS"),
        ({"metrics": {"a\nb": 1.0}}, "METRICS"),
        ({"metrics": {"x" * 129: 1.0}}, "METRICS"),
        ({"inline": bytes(INLINE_BYTES + 1)}, "TOO_LARGE"),
        ({"total_bytes": MOST_BYTES + 1}, "TOO_LARGE"),
    ],
)
def test_what_is_not_is_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(MmarRunnerError) as caught:
        look(begin(**changes), 10.0)
    assert caught.value.reason == reason


@pytest.mark.parametrize(("cap", "hinted"), [(2.0, True), (MAX_SAMPLES, False)])
def test_only_a_cap_of_the_mmar_is_hinted_at(cap: float, hinted: bool) -> None:
    with pytest.raises(MmarRunnerError) as caught:
        look(begin(num_samples=2 * cap), cap)
    assert (caught.value.hint is not None) is hinted


def test_bytes_that_come_along_are_held_against_what_is_said_and_against_the_model() -> None:
    check_inline(inline(1, 2), SCHEMA)
    other = inline(1, 2)
    other.sha256 = "0" * 64
    with pytest.raises(DigestError):
        check_inline(other, SCHEMA)
    longer = inline(1, 2)
    longer.total_bytes += 1
    with pytest.raises(DigestError):
        check_inline(longer, SCHEMA)
    with pytest.raises(NonFiniteError):
        check_inline(inline(1, math.inf), SCHEMA)
    with pytest.raises(SchemaMismatchError):
        check_inline(inline(1, 2, name="b"), SCHEMA)


@pytest.mark.parametrize(
    ("said", "kept"), [(5.0, 5.0), (-1.0, 0.0), (math.nan, 0.0), (math.inf, 0.0), (1e30, 0.0)]
)
def test_a_duration_that_no_clock_can_say_is_kept_as_none(said: float, kept: float) -> None:
    facts = announced_facts(begin(seconds_train=said))
    update = accepted("a", facts, "d", seconds_upload=1.0, inline=False, wire_bytes=1)
    assert update.facts.seconds_train == kept


def test_only_metrics_that_are_finite_are_kept_sorted() -> None:
    said = begin(metrics={"b": 1.0, "a": 2.0, "c": math.nan}, validation={"d": math.inf})
    heard = announced_facts(said)
    update = accepted("site-1", heard, "d" * 64, seconds_upload=1.0, inline=True, wire_bytes=9)
    facts = update.facts
    assert list(facts.metrics.items()) == [("a", 2.0), ("b", 1.0)]
    assert facts.validation == {}
    assert (update.client, update.sha256, facts.bytes) == ("site-1", "d" * 64, 100)
    assert (facts.num_samples, update.inline) == (3.0, True)
    assert facts.kind is UpdateKind.WEIGHTS


@pytest.mark.parametrize(
    ("said", "codec", "refused"),
    [
        ({}, "none", False),
        ({"codec": "fp16", "codec_error": 0.5}, "fp16", False),
        ({"codec": "fp16"}, "none", True),
        ({}, "fp16", True),
        ({"codec": "bf16"}, "fp16", True),
        ({"codec": "fp16", "codec_error": math.nan}, "fp16", True),
        ({"codec": "fp16", "codec_error": -1e-9}, "fp16", True),
    ],
)
def test_an_update_travels_as_was_agreed_on(
    said: dict[str, Any], codec: str, refused: bool
) -> None:
    announced = begin(**said)
    told = announced_facts(announced)
    if not refused:
        check_announcement(announced, told, SCHEMA, 1e9, codec)
        return
    with pytest.raises(RefusedError) as error:
        check_announcement(announced, told, SCHEMA, 1e9, codec)
    assert error.value.reason == "CODEC"


def test_a_masked_update_that_says_it_holds_weights_is_refused() -> None:
    """One among differences, it would have the rule see no masked numbers, and end the run."""
    announced = begin(codec="i32", kind="weights")
    with pytest.raises(RefusedError) as error:
        check_announcement(announced, announced_facts(announced), SCHEMA, 1e9, "i32")
    assert error.value.reason == "KIND"
    announced = begin(codec="i32", kind="weight_diff")
    check_announcement(announced, announced_facts(announced), SCHEMA, 1e9, "i32")


def test_compressed_bytes_that_come_along_are_unpacked_only_if_that_was_agreed_on() -> None:
    whole = inline(1, 2)
    packed = inline(1, 2)
    packed.inline = zstandard.ZstdCompressor().compress(whole.inline)
    packed.packed = True
    assert check_inline(packed, SCHEMA, packed=True) == check_inline(whole, SCHEMA) == whole.inline
    with pytest.raises(ProtocolError):
        check_inline(packed, SCHEMA)
    packed.inline += b"x"
    with pytest.raises(ProtocolError):
        check_inline(packed, SCHEMA, packed=True)
