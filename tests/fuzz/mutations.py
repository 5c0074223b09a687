# SPDX-License-Identifier: Apache-2.0
"""Inputs with structure for hypothesis: a valid file, and what was done to it.

One change keeps most of a file as it was, so that the parts behind the first check are
reached too; further changes stack up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from hypothesis import strategies as st

if TYPE_CHECKING:
    from tests.fuzz.target import Target

#: Tokens that mean something to every reader.
_EVERYWHERE: Final = (
    b"",
    b"\x00",
    b"\xff" * 8,
    b"\n",
    b"-1",
    b"9" * 30,
    b"\xed\xa0\x80",
    b" " * 50,
)
_MOST_REPEATS: Final = 3000
_LONGEST: Final = 200_000
_Change = Callable[[bytes], bytes]


def inputs(target: Target) -> st.SearchStrategy[bytes]:
    """Return the inputs that are tried on a target: seeds, changed up to four times."""
    seeds = target.seeds()
    changes = st.lists(_changes(target, seeds), min_size=1, max_size=4)
    return st.builds(_changed, st.sampled_from(seeds), changes)


def _changed(seed: bytes, changes: list[_Change]) -> bytes:
    for change in changes:
        seed = change(seed)[:_LONGEST]
    return seed


def _changes(target: Target, seeds: list[bytes]) -> st.SearchStrategy[_Change]:
    token = st.sampled_from((*_EVERYWHERE, *target.tokens)) | st.binary(max_size=6)
    places = st.floats(0, 1), st.floats(0, 1)
    return st.one_of(
        st.builds(_replace, *places, token),
        st.builds(_insert, places[0], token),
        st.builds(_flip, places[0], st.integers(0, 7)),
        st.builds(_repeat, *places, st.sampled_from((2, 3, 50, _MOST_REPEATS))),
        st.builds(_cut, places[0]),
        st.builds(_insert, places[0], st.builds(bytes.__mul__, token, st.just(_MOST_REPEATS))),
        st.builds(_joined, st.sampled_from(seeds), *places),
    )


def _place(data: bytes, part: float) -> int:
    return int(part * len(data))


def _replace(begin: float, length: float, token: bytes) -> _Change:
    """Put a token in the place of a few bytes, or of many."""

    def change(data: bytes) -> bytes:
        at = _place(data, begin)
        return data[:at] + token + data[at + int(length**4 * len(data)) + 1 :]

    return change


def _insert(part: float, token: bytes) -> _Change:
    return lambda data: data[: _place(data, part)] + token + data[_place(data, part) :]


def _flip(part: float, bit: int) -> _Change:
    def change(data: bytes) -> bytes:
        at = min(_place(data, part), len(data) - 1)
        return data[:at] + bytes((data[at] ^ 1 << bit,)) + data[at + 1 :] if data else data

    return change


def _repeat(begin: float, length: float, times: int) -> _Change:
    """Let a piece stand there many times: what grows too fast, grows."""

    def change(data: bytes) -> bytes:
        at = _place(data, begin)
        end = at + max(1, int(length**4 * len(data)))
        return data[:at] + data[at:end] * times + data[end:]

    return change


def _cut(part: float) -> _Change:
    return lambda data: data[: _place(data, part)]


def _joined(other: bytes, here: float, there: float) -> _Change:
    return lambda data: data[: _place(data, here)] + other[_place(other, there) :]
