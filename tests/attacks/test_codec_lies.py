# SPDX-License-Identifier: Apache-2.0
"""Updates in another codec than agreed on, and compressed chunks that lie."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard

from mmar_runner.storage.codecs import CODECS
from mmar_runner.storage.encoding import encode_file
from mmar_runner.wire.limits import CHUNK_BYTES
from mmar_runner.wire.messages import UpdateCommit, UpdateReady
from mmar_runner.wire.packing import Packed, pack

FP16 = {"codec": "fp16"}


@pytest.fixture(scope="module")
def coded_mmar(project: Any) -> Path:
    return Path(project.mmar(name="coded", update_codec="fp16", compression="zstd"))


@pytest.fixture(scope="module")
def coded(attacked_server: Any, coded_mmar: Path) -> Iterator[Any]:
    """An arena whose updates travel in fp16, compressed, in chunks."""
    with attacked_server("coded", coded_mmar, model_mb=5) as arena:
        yield arena


@pytest.fixture
def halved(tmp_path: Path) -> Any:
    """What makes an update in fp16 of a model."""

    def encode(model: bytes, codec: str = "fp16") -> bytes:
        source, wire = tmp_path / "model", tmp_path / "wire"
        source.write_bytes(model)
        encode_file(source, wire, CODECS[codec])
        return wire.read_bytes()

    return encode


def frame(content: bytes, **options: Any) -> bytes:
    return zstandard.ZstdCompressor(**options).compress(content)


ZEROS = bytes(CHUNK_BYTES)
#: Chunks that are none, by what is wrong with them.
LIES = {
    "a_bomb": Packed(CHUNK_BYTES, frame(bytes(64 << 20))),
    "a_bomb_that_says_so": Packed(64 << 20, frame(bytes(64 << 20))),
    "a_bomb_that_does_not_say": Packed(
        CHUNK_BYTES, frame(bytes(64 << 20), write_content_size=False)
    ),
    "more_than_announced": Packed(1000, frame(ZEROS)),
    "less_than_announced": Packed(CHUNK_BYTES, frame(ZEROS[:1000])),
    "truncated": Packed(CHUNK_BYTES, frame(ZEROS)[:-3]),
    "something_behind_it": Packed(CHUNK_BYTES, frame(ZEROS) + b"x"),
    "a_second_frame": Packed(CHUNK_BYTES, frame(ZEROS) * 2),
    "a_frame_to_skip": Packed(CHUNK_BYTES, b"\x50\x2a\x4d\x18\x04\0\0\0abcd" + frame(ZEROS)),
    "a_wrong_sum": Packed(CHUNK_BYTES, frame(ZEROS, write_checksum=True)[:-4] + b"abcd"),
    "no_frame": Packed(CHUNK_BYTES, b"no frame at all"),
    "nothing": Packed(CHUNK_BYTES, b""),
    "of_nothing": Packed(0, frame(b"")),
    "longer_than_a_chunk": Packed(CHUNK_BYTES, bytes(CHUNK_BYTES + 1)),
}


async def send_chunk(attacker: Any, begin: Any, chunk: Any) -> None:
    """Send one chunk of an update, and read what the server has to say."""
    call = attacker.stub.submit_update()
    await call.write(begin)
    assert isinstance(await call.read(), UpdateReady)
    await call.write(chunk)
    while await call.read() is not None:
        pass


@pytest.mark.parametrize("name", LIES)
def test_b12_a_compressed_chunk_that_lies_is_refused(coded: Any, halved: Any, name: str) -> None:
    async def play(attacker: Any) -> None:
        begin = attacker.begin(halved(attacker.model), **FP16)
        await send_chunk(attacker, begin, LIES[name])

    assert coded.refusal(play) == "COMPRESSION"


@pytest.mark.parametrize("name", ["a_bomb", "truncated", "something_behind_it", "no_frame"])
def test_b12_compressed_inline_bytes_that_lie_are_refused(coded: Any, name: str) -> None:
    play = lambda a: a.submit_inline(  # noqa: E731
        LIES[name].data, total_bytes=5000, packed=True, **FP16
    )
    assert coded.refusal(play) == "COMPRESSION"


def test_b12_an_inline_bomb_is_not_unpacked(coded: Any) -> None:
    play = lambda a: a.submit_inline(  # noqa: E731
        frame(ZEROS), total_bytes=CHUNK_BYTES, packed=True, **FP16
    )
    assert coded.refusal(play) == "TOO_LARGE"


@pytest.mark.parametrize("codec", ["", "bf16", "int1", "x" * 100_000, "\x1b[2J"])
def test_b12_another_codec_than_agreed_on_is_refused(coded: Any, halved: Any, codec: str) -> None:
    play = lambda a: a.submit(halved(a.model), codec=codec)  # noqa: E731
    error = coded.refused(play)
    assert error.reason == "CODEC"
    assert len(error.message) < 300
    assert "\x1b" not in error.message


@pytest.mark.parametrize("error", [math.nan, math.inf, -1.0])
def test_b12_a_loss_that_is_none_is_refused(coded: Any, halved: Any, error: float) -> None:
    play = lambda a: a.submit(halved(a.model), codec_error=error, **FP16)  # noqa: E731
    assert coded.refusal(play) == "CODEC"


def test_b12_another_dtype_than_the_codecs_is_refused(coded: Any, halved: Any) -> None:
    """Whatever is said of the codec: the file is held against the schema that follows from it."""
    assert coded.refusal(lambda a: a.submit(a.model, **FP16)) == "TOO_LARGE"
    assert coded.refusal(lambda a: a.submit(halved(a.model, "bf16"), **FP16)) == "SCHEMA"


def test_b12_an_infinity_of_sixteen_bits_is_found(coded: Any, halved: Any) -> None:
    spoiled = lambda a: halved(a.model)[:-2] + b"\x00\x7c"  # noqa: E731
    assert coded.refusal(lambda a: a.submit(spoiled(a), **FP16)) == "NON_FINITE"


def test_b12_whoever_does_not_know_the_codec_or_cannot_unpack_does_not_join(coded: Any) -> None:
    old = coded.refused(lambda a: a.register(update_codecs=[], compressions=[]))
    assert (old.reason, "version" in str(old.hint)) == ("CODEC", True)
    bare = coded.refused(lambda a: a.register(compressions=["lzma"]))
    assert (bare.reason, "mmar-runner[zstd]" in str(bare.hint)) == ("COMPRESSION", True)


def test_b12_the_attackers_way_of_compressing_is_sound(coded: Any, halved: Any) -> None:
    """What is refused above is refused for its fault: a wrong sha256 is all that is wrong."""

    async def play(attacker: Any) -> None:
        data = halved(attacker.model)
        call = attacker.stub.submit_update()
        await call.write(attacker.begin(data, **FP16))
        assert isinstance(await call.read(), UpdateReady)
        for start in range(0, len(data), 1 << 19):
            item = pack(data[start : start + (1 << 19)])
            assert isinstance(item, Packed)
            await call.write(item)
        await call.write(UpdateCommit(sha256="1" * 64))
        while await call.read() is not None:
            pass

    assert coded.refusal(play) == "DIGEST"
