# SPDX-License-Identifier: Apache-2.0
"""Updates that are wrong in one way each: refused with the reason, and never counted."""

from __future__ import annotations

import math
import pickle
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mmar_runner.wire.limits import CHUNK_BYTES
from mmar_runner.wire.messages import UpdateCommit, UpdateReady
from mmar_runner.wire.packing import pack
from tests.assets.hostile_safetensors import generate as hostile
from tests.attacks.spoiling import (
    SPOILED,
    ending_with,
    opened,
    reordered,
    reshaped,
    retyped,
    tensors,
)


@pytest.mark.parametrize("name", SPOILED)
def test_b04_b05_b09_a_spoiled_update_is_refused(large: Any, small: Any, name: str) -> None:
    spoil, reasons = SPOILED[name]
    assert large.refusal(lambda a: a.submit(spoil(a.model))) in reasons
    assert small.refusal(lambda a: a.submit_inline(spoil(a.model))) in reasons


def test_b08_every_hostile_file_is_refused(small: Any) -> None:
    for name, data in hostile.hostile_files().items():
        short = data[: 60 << 10]
        reason = small.refusal(
            lambda a, data=short: a.submit_inline(data) if data else a.submit(data)
        )
        assert reason in {"FORMAT", "SCHEMA", "DIGEST", "TOO_LARGE"}, name


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"num_samples": 0.0}, "WEIGHT"),
        ({"num_samples": -5.0}, "WEIGHT"),
        ({"num_samples": math.nan}, "WEIGHT"),
        ({"num_samples": math.inf}, "WEIGHT"),
        ({"num_samples": 1e308}, "WEIGHT"),
        ({"num_samples": 2.0**63}, "WEIGHT"),
        ({"kind": "poison"}, "KIND"),
        ({"kind": "k" * 1_000_000}, "KIND"),
        ({"metrics": {f"m{i}": 1.0 for i in range(100_000)}}, "METRICS"),
        ({"metrics": {"m" * 1_000_000: 1.0}}, "METRICS"),
        ({"metrics": {"\x1b]0;owned\x07": 1.0}}, "METRICS"),
        ({"validation": {"a\nb": 1.0}}, "METRICS"),
        ({"round": 7}, "ROUND_MISMATCH"),
        ({"round": -1}, "ROUND_MISMATCH"),
        ({"run_number": 2}, "RUN_MISMATCH"),
        ({"base_sha256": "0" * 64}, "BASE_MISMATCH"),
        ({"token": ""}, "TOKEN_INVALID"),
        ({"token": "x" * 1_000_000}, "TOKEN_INVALID"),
        ({"update_id": "u" * 1_000_000}, "PROTOCOL"),
        ({"total_bytes": 1 << 40}, "TOO_LARGE"),
        ({"total_bytes": (1 << 64) - 1}, "TOO_LARGE"),
        ({"total_bytes": 0}, "FORMAT"),
        ({"total_bytes": 9}, "FORMAT"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, dict) else value,
)
def test_b03_b06_b10_an_announcement_that_lies_is_refused(
    large: Any, changes: dict[str, Any], reason: str
) -> None:
    assert large.refusal(lambda a: a.submit(a.model, **changes)) == reason


@pytest.mark.parametrize("lie", [1, -1, 1000])
def test_b10_inline_bytes_of_another_length_than_announced_are_refused(
    small: Any, lie: int
) -> None:
    play = lambda a: a.submit_inline(a.model, total_bytes=len(a.model) + lie)  # noqa: E731
    assert small.refusal(play) == "DIGEST"


def test_b10_inline_bytes_with_another_sha256_are_refused(small: Any) -> None:
    assert small.refusal(lambda a: a.submit_inline(a.model, sha="0" * 64)) == "DIGEST"


def test_b10_a_large_update_inside_its_begin_is_refused(large: Any) -> None:
    assert large.refusal(lambda a: a.submit_inline(a.model[:1_000_000])) == "TOO_LARGE"


def test_b10_chunks_with_another_sha256_are_refused(large: Any) -> None:
    assert large.refusal(lambda a: a.submit(a.model, sha="0" * 64)) == "DIGEST"


def test_b10_chunks_that_fall_short_are_refused(large: Any) -> None:
    play = lambda a: a.submit(a.model[:-100], total_bytes=len(a.model))  # noqa: E731
    assert large.refusal(play) == "DIGEST"


def test_b10_chunks_that_exceed_are_refused(large: Any) -> None:
    play = lambda a: a.submit(a.model + bytes(8), total_bytes=len(a.model))  # noqa: E731
    assert large.refusal(play) == "FORMAT"


def test_b10_a_chunk_over_the_limit_is_refused(large: Any) -> None:
    async def play(attacker: Any) -> None:
        call = attacker.stub.submit_update()
        await call.write(attacker.begin(attacker.model))
        assert isinstance(await call.read(), UpdateReady)
        await call.write(attacker.model[: CHUNK_BYTES + 1])
        await call.read()

    assert large.refusal(play) == "PROTOCOL"


def test_b10_a_commit_without_chunks_is_refused(large: Any) -> None:
    async def play(attacker: Any) -> None:
        call = attacker.stub.submit_update()
        await call.write(attacker.begin(attacker.model))
        assert isinstance(await call.read(), UpdateReady)
        await call.write(UpdateCommit(sha256="0" * 64))
        await call.read()

    assert large.refusal(play) == "DIGEST"


def test_b10_data_before_begin_is_refused(large: Any) -> None:
    async def play(attacker: Any) -> None:
        call = attacker.stub.submit_update()
        await call.write(b"data")
        await call.read()

    assert large.refusal(play) == "PROTOCOL"


def test_b10_a_second_begin_is_refused(large: Any) -> None:
    async def play(attacker: Any) -> None:
        call = attacker.stub.submit_update()
        begin = attacker.begin(attacker.model)
        await call.write(begin)
        assert isinstance(await call.read(), UpdateReady)
        await call.write(begin)
        await call.read()

    assert large.refusal(play) == "PROTOCOL"


def test_b10_an_empty_chunk_is_refused(large: Any) -> None:
    async def play(attacker: Any) -> None:
        call = attacker.stub.submit_update()
        await call.write(attacker.begin(attacker.model))
        assert isinstance(await call.read(), UpdateReady)
        await call.write(b"")
        await call.read()

    assert large.refusal(play) == "PROTOCOL"


def test_a07_the_token_of_a_session_that_has_left_is_refused(large: Any) -> None:
    async def play(attacker: Any) -> None:
        victim = attacker.arena.joined(attacker.channel, attacker.name.rpartition("_")[0])
        async with victim as other:
            stolen = other.token
        await attacker.submit(attacker.model, token=stolen)  # its owner has left

    assert large.refusal(play) == "TOKEN_INVALID"


def test_b11_a_message_of_65_mib_is_refused_by_the_transport(large: Any) -> None:
    async def play(attacker: Any) -> None:
        import grpc

        async with attacker.raw_channel() as channel:
            call = channel.unary_unary("/mmar_runner.v1.FederatedTraining/Heartbeat")
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await call(bytes(65 << 20), timeout=30)
            assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED

    large.attack(play)


def test_b11_a_compressed_bomb_is_refused_by_the_transport(large: Any) -> None:
    async def play(attacker: Any) -> None:
        import grpc

        async with attacker.raw_channel(compression=grpc.Compression.Gzip) as channel:
            call = channel.unary_unary("/mmar_runner.v1.FederatedTraining/Heartbeat")
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await call(bytes(512 << 20), timeout=30)
            assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED

    large.attack(play)


@pytest.mark.parametrize("method", ["Register", "Quit", "Heartbeat", "GetModel", "SubmitUpdate"])
def test_b10_bytes_that_are_no_message_are_refused(large: Any, method: str) -> None:
    async def play(attacker: Any) -> None:
        import grpc

        path = f"/mmar_runner.v1.FederatedTraining/{method}"
        call = attacker.channel.unary_unary(path)
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await call(b"\xff\xff\xff garbage", timeout=10)
        assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT, error.value
        attacker.arena.count(attacker, "PROTOCOL")

    large.attack(play)


def test_b04_the_attackers_way_of_submitting_is_sound(large: Any) -> None:
    """What is refused above is refused for its fault: a wrong sha256 is all that is wrong."""

    play = lambda a: a.submit(reordered(a.model), sha="1" * 64)  # noqa: E731
    assert large.refusal(play) == "DIGEST"


def test_b04_b05_a_refusal_names_the_tensor_what_was_expected_and_what_came(large: Any) -> None:
    def last(model: bytes) -> str:
        return tensors(opened(model)[0])[-1]

    async def play(attacker: Any, spoil: Any) -> None:
        named.append(last(attacker.model))
        await attacker.submit(spoil(attacker.model))

    named: list[str] = []
    for spoil, reason, words in (
        (retyped, "SCHEMA", ("I32", "F32")),
        (reshaped, "SCHEMA", ("F32[1",)),
        (ending_with(math.nan), "NON_FINITE", ()),
    ):
        error = large.refused(lambda a, spoil=spoil: play(a, spoil))
        assert error.reason == reason
        for word in (named[-1], *words):
            assert word in error.message.replace(" ", ""), error.message


@pytest.fixture(scope="module")
def huge(attacked_server: Any, mmar: Path) -> Iterator[Any]:
    """An arena whose model has ten million values."""
    with attacked_server("huge", mmar, model_mb=40) as arena:
        yield arena


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_b05_one_value_in_ten_million_that_is_none_is_found(huge: Any, value: float) -> None:
    """No copy of the model is made for it: the end of the arena looks at memory."""

    def spoiled(model: bytes) -> bytes:
        assert len(model) > 40_000_000
        middle = len(model) // 2 // 4 * 4 + len(model) % 4
        return model[:middle] + struct.pack("<f", value) + model[middle + 4 :]

    assert huge.refusal(lambda a: a.submit(spoiled(a.model))) == "NON_FINITE"


def test_b05_denormals_are_numbers(large: Any) -> None:
    """The control: nothing but the sha256 is wrong with the smallest of numbers."""
    play = lambda a: a.submit(ending_with(1e-45)(a.model), sha="1" * 64)  # noqa: E731
    assert large.refusal(play) == "DIGEST"


def test_b12_what_is_compressed_where_nothing_was_agreed_on_is_refused(
    large: Any, small: Any
) -> None:
    async def play(attacker: Any) -> None:
        call = attacker.stub.submit_update()
        await call.write(attacker.begin(attacker.model))
        assert isinstance(await call.read(), UpdateReady)
        await call.write(pack(bytes(CHUNK_BYTES)))
        await call.read()

    assert large.refusal(play) == "COMPRESSION"
    sound = lambda a: a.submit_inline(a.model, packed=True)  # noqa: E731
    assert small.refusal(sound) == "COMPRESSION"


def test_b12_a_codec_where_none_was_agreed_on_is_refused(large: Any) -> None:
    assert large.refusal(lambda a: a.submit(a.model, codec="fp16")) == "CODEC"


def test_b03_another_task_is_refused(large: Any) -> None:
    assert large.refusal(lambda a: a.register(task_name="other")) == "TASK_MISMATCH"


class Trap:
    """What is unpickled makes a file."""

    def __init__(self, canary: Path) -> None:
        self._canary = canary

    def __reduce__(self) -> Any:
        return Path.touch, (self._canary,)


def archives(trap: Trap) -> dict[str, bytes]:
    """Return a trap in every form of file that some loader would open."""
    import io
    import zipfile

    import numpy as np

    raw = pickle.dumps(trap)
    objects, zipped, torch = io.BytesIO(), io.BytesIO(), io.BytesIO()
    np.save(objects, np.array([trap], dtype=object), allow_pickle=True)
    np.savez(zipped, x=np.array([trap], dtype=object))
    with zipfile.ZipFile(torch, "w") as archive:
        archive.writestr("archive/data.pkl", raw)
    files = {"npy": objects, "npz": zipped, "torch": torch}
    return {"pickle": raw, **{name: file.getvalue() for name, file in files.items()}}


def test_b09_what_would_run_when_loaded_is_never_loaded(small: Any, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    for name, data in archives(Trap(canary)).items():
        assert small.refusal(lambda a, data=data: a.submit_inline(data)) == "FORMAT", name
    assert not canary.exists()
    pickle.loads(pickle.dumps(Trap(canary)))  # noqa: S301 - the trap does work
    assert canary.exists()
