# SPDX-License-Identifier: Apache-2.0
"""A combiner that lies of its sites: what can be worked out again is not believed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from mmar_runner.storage.safetensors_format import encode_header
from mmar_runner.storage.tensor_bytes import TensorBytes
from mmar_runner.wire.messages import UpdateShare


def sum_of(model: bytes, weight: float, dtype: type[Any] = np.float64) -> bytes:
    """Return what sites that changed nothing add up to."""
    name = {np.float64: "F64", np.float32: "F32"}[dtype]
    with TensorBytes(model) as reader:
        tensors = list(reader.header.tensors.values())
        data = encode_header([(t.name, name, t.shape) for t in tensors])
        for tensor in tensors:
            block = np.empty(tensor.count, np.float32)
            reader.read_into(tensor.name, 0, block)
            data += (block.astype(np.float64) * weight).astype(dtype).tobytes()
    return bytes(data)


def share(path: str = "site-8", weight: float = 2.0, **said: Any) -> UpdateShare:
    return UpdateShare(**{"path": path, "weight": weight, "num_samples": weight, **said})


async def lie(
    attacker: Any, parts: list[UpdateShare], data: bytes | None = None, **said: Any
) -> Any:
    """Register as a combiner, and send a sum."""
    await attacker.register(combines=True)
    samples = math.fsum(part.num_samples for part in parts)
    facts = {"codec": "partial", "num_samples": samples, "parts": parts, **said}
    data = sum_of(attacker.model, 2.0) if data is None else data
    return await attacker.submit_inline(data, **facts)


LIES: dict[str, tuple[list[UpdateShare], dict[str, Any], str]] = {
    "more weight than a site's samples": ([share(weight=2.0, num_samples=1.0)], {}, "PARTS"),
    "a weight that is no number": ([share(weight=math.nan, num_samples=2.0)], {}, "PARTS"),
    "a weight below nothing": ([share(weight=-2.0, num_samples=2.0)], {}, "PARTS"),
    "samples that do not add up": ([share()], {"num_samples": 200.0}, "PARTS"),
    "more samples than anybody has": ([share(weight=1e300)], {}, "WEIGHT"),
    "a site without samples": ([share(), share("site-9", 0.0)], {}, "WEIGHT"),
    "a site twice": ([share(), share("other/site-8")], {}, "PARTS"),
    "nobody": ([], {"num_samples": 2.0}, "PARTS"),
    "a path that leads elsewhere": ([share("../site-8")], {}, "PARTS"),
    "a path without an end": ([share("/".join(["a"] * 1000))], {}, "PARTS"),
    "a name for a terminal": ([share("\x1b[31mred")], {}, "PARTS"),
    "metrics without names": ([share(metrics={"\n": 1.0})], {}, "METRICS"),
    "a loss of less than nothing": ([share(codec_error=-1.0)], {}, "CODEC"),
    "no sum at all": ([share()], {"codec": ""}, "PARTS"),
}


@pytest.mark.parametrize("what", LIES)
def test_e11_a_combiner_is_not_believed(plain: Any, what: str) -> None:
    parts, said, reason = LIES[what]
    assert plain.refusal(lambda a: lie(a, parts, **said)) == reason


def test_e11_a_sum_has_the_models_tensors_in_float64(plain: Any) -> None:
    play = lambda a: lie(a, [share()], sum_of(a.model, 2.0, np.float32))  # noqa: E731
    assert plain.refusal(play) == "SCHEMA"


def test_e11_a_sum_is_finite(plain: Any) -> None:
    play = lambda a: lie(a, [share()], sum_of(a.model, math.inf))  # noqa: E731
    assert plain.refusal(play) == "NON_FINITE"


def test_e11_a_site_speaks_for_itself_alone(plain: Any) -> None:
    """Whoever is no combiner has no parts, in whatever codec."""
    parts = [share()]
    play = lambda a: a.submit_inline(a.model, num_samples=2.0, parts=parts)  # noqa: E731
    assert plain.refusal(play) == "PARTS"
    data = lambda a: sum_of(a.model, 2.0)  # noqa: E731
    alone = lambda a: a.submit_inline(data(a), num_samples=2.0, codec="partial")  # noqa: E731
    assert plain.refusal(alone) == "CODEC"
