# SPDX-License-Identifier: Apache-2.0
"""Masks and the numbers that they hide."""

import hashlib
import hmac
from fractions import Fraction

import numpy as np
import pytest

from mmar_runner_secagg.fixed_point import FixedPoint
from mmar_runner_secagg.keys import KeyPair, seal, unseal
from mmar_runner_secagg.masks import STRIDE, Mask, add_masks

SEED = bytes(range(32))


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("block", [1, 7, 4096])
def test_a_mask_is_the_same_in_whatever_blocks_it_is_made(bits, block):
    whole = Mask(SEED, bits).block("w", 0, 9000)
    mask = Mask(SEED, bits)
    starts = range(0, 9000, block) if block > 100 else range(8000, 9000, block)
    for start in starts:
        count = min(block, 9000 - start)
        np.testing.assert_array_equal(mask.block("w", start, count), whole[start : start + count])


def test_a_mask_is_the_keystream_of_chacha20():
    """Of RFC 8439, section 2.3: worked out here, word by word, for the first block."""
    key = hmac.digest(SEED, b"w", hashlib.sha256)
    expected = np.array(chacha20_block(key, 0) + chacha20_block(key, 1), dtype="<u4")
    np.testing.assert_array_equal(Mask(SEED, 32).block("w", 0, 32), expected)


def chacha20_block(key, counter):
    constants = [0x61707865, 0x3320646E, 0x79622D32, 0x6B206574]
    start = constants + [int.from_bytes(key[4 * i : 4 * i + 4], "little") for i in range(8)]
    start += [counter, 0, 0, 0]
    x = list(start)

    def rotate(value, by):
        return ((value << by) | (value >> (32 - by))) & 0xFFFFFFFF

    def quarter(a, b, c, d):
        for into, of, into2, by in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            x[into] = (x[into] + x[of]) & 0xFFFFFFFF
            x[into2] = rotate(x[into2] ^ x[into], by)

    for _ in range(10):
        for column in range(4):
            quarter(column, 4 + column, 8 + column, 12 + column)
        for diagonal in range(4):
            quarter(
                diagonal,
                4 + (diagonal + 1) % 4,
                8 + (diagonal + 2) % 4,
                12 + (diagonal + 3) % 4,
            )
    return [(a + b) & 0xFFFFFFFF for a, b in zip(x, start, strict=True)]


def test_other_tensors_and_other_seeds_have_other_masks():
    one = Mask(SEED, 32).block("w", 0, 100)
    assert (one != Mask(SEED, 32).block("v", 0, 100)).mean() > 0.9
    assert (one != Mask(b"x" * 32, 32).block("w", 0, 100)).mean() > 0.9


@pytest.mark.parametrize("bits", [32, 64])
def test_what_was_added_can_be_taken_away_again(bits):
    numbers = np.arange(2 * STRIDE + 5).astype(f"<u{bits // 8}")
    masked = numbers.copy()
    add_masks(masked, "w", 3, [(1, Mask(SEED, bits)), (-1, Mask(b"x" * 32, bits))])
    assert (masked != numbers).mean() > 0.9
    add_masks(masked, "w", 3, [(-1, Mask(SEED, bits)), (1, Mask(b"x" * 32, bits))])
    np.testing.assert_array_equal(masked, numbers)


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("clients", [1, 2, 3, 100, 5000])
def test_the_sum_of_the_largest_numbers_fits(bits, clients):
    numbers = FixedPoint(bits, 0.5, clients)
    assert numbers.limit * clients < 1 << (bits - 1)
    for sign in (1, -1):
        one = numbers.encode(np.array([sign * 7.0]))
        total = np.zeros(1, one.dtype)
        for _ in range(clients):
            total += one
        np.testing.assert_allclose(numbers.decode(total), [sign * 0.5 * clients], rtol=1e-12)


@pytest.mark.parametrize("bits", [32, 64])
def test_a_difference_is_off_by_half_a_step_at_most(bits):
    values = np.random.default_rng(0).uniform(-1, 1, 2000)
    numbers = FixedPoint(bits, 1.0, 8)
    back = numbers.decode(numbers.encode(values))
    assert np.abs(back - values).max() <= numbers.step / 2 * (1 + 1e-6) + 2e-16


def test_numbers_are_those_of_exact_arithmetic():
    numbers = FixedPoint(32, 1.0, 3)
    values = np.random.default_rng(1).uniform(-1, 1, 200)
    exact = [round(Fraction(float(v)) * numbers.limit) for v in values]
    off = numbers.encode(values).view("<i4").astype(int) - exact
    assert np.abs(off).max() <= 1  # a tie of the one may be none of the other


def test_a_weight_scales_a_difference_after_it_was_clipped():
    numbers = FixedPoint(64, 2.0, 4)
    values = np.array([5.0, -1.0])
    np.testing.assert_allclose(
        numbers.decode(numbers.encode(values, 0.25)), [0.5, -0.25], rtol=1e-12
    )


def test_two_agree_on_what_nobody_else_can():
    one, other, third = KeyPair.made(), KeyPair.made(), KeyPair.made()
    assert one.agree(other.public, b"a") == other.agree(one.public, b"a")
    assert one.agree(other.public, b"a") != one.agree(other.public, b"b")
    assert one.agree(other.public, b"a") != third.agree(other.public, b"a")


def test_no_secret_is_agreed_on_with_a_key_that_everybody_could_have_made():
    with pytest.raises(ValueError, match=r"."):
        KeyPair.made().agree(bytes(32), b"a")


@pytest.mark.parametrize("spoil", ["key", "message", "about"])
def test_a_sealed_message_opens_for_whom_it_is(spoil):
    sealed = seal(SEED, b"secret", b"from a to b")
    assert unseal(SEED, sealed, b"from a to b") == b"secret"
    key = b"x" * 32 if spoil == "key" else SEED
    about = b"from b to a" if spoil == "about" else b"from a to b"
    changed = sealed[:-1] + bytes([sealed[-1] ^ 1]) if spoil == "message" else sealed
    with pytest.raises(ValueError, match="not what its sender made"):
        unseal(key, changed, about)
