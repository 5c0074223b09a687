# SPDX-License-Identifier: Apache-2.0
"""What clients and server say to each other, as JSON; read as a stranger's words.

==========  =======================================  ==========================================
phase       a client says                            it is answered
==========  =======================================  ==========================================
keys        its public keys, a commitment            its neighbours and theirs, the threshold
shares      a sealed message for each neighbour      those that its neighbours sealed for it
survivors   nothing                                  which neighbours' updates are counted
unmask      one share of each neighbour, and its own nothing
==========  =======================================  ==========================================
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from mmar_runner_secagg.keys import KEY_BYTES
from mmar_runner_secagg.secrets_shared import SHARE_BYTES

#: Bytes of a sealed pair of shares: nonce, both shares, tag.
SEALED_BYTES: Final = 12 + 2 * SHARE_BYTES + 16

_T = TypeVar("_T")
#: What reading a stranger's words raises; OverflowError is that of an infinite number.
_MEANINGLESS: Final = (
    *(ValueError, KeyError, TypeError, AttributeError),
    *(OverflowError, RecursionError),
)


@dataclass(frozen=True, slots=True)
class Advert:
    """A client's keys of one round.

    Attributes:
        seal: Public key by which others seal messages for it.
        mask: Public key by which masks are agreed on.
        commitment: SHA-256 of the seed of the mask that is its own.
    """

    seal: bytes
    mask: bytes
    commitment: bytes


@dataclass(frozen=True, slots=True)
class Peer:
    """A neighbour, as a client is told of it.

    Attributes:
        point: Where its shares are on every polynomial.
        advert: Its keys.
    """

    point: int
    advert: Advert


@dataclass(frozen=True, slots=True)
class Circle:
    """What a client is told of its neighbours.

    Attributes:
        clients: How many clients take part.
        threshold: How many shares give a secret.
        point: The client's own.
        peers: Its neighbours, by name.
        terms: How numbers are to be encoded, as the server decodes them.
    """

    clients: int
    threshold: int
    point: int
    peers: Mapping[str, Peer]
    terms: str = ""


@dataclass(frozen=True, slots=True)
class Letters:
    """Sealed messages: for whom they are, or who made them; and how many clients go on."""

    sealed: Mapping[str, bytes]
    clients: int = 0


@dataclass(frozen=True, slots=True)
class Survivors:
    """Whose updates are counted.

    Attributes:
        clients: How many.
        peers: Those of them that are neighbours of whoever is told.
    """

    clients: int
    peers: frozenset[str]


@dataclass(frozen=True, slots=True)
class Revealed:
    """Shares that a client gives away, by whose they are.

    Attributes:
        seeds: Of those whose updates are counted: of the mask that is their own.
        keys: Of those that were lost: of the key by which masks were agreed on.
    """

    seeds: Mapping[str, bytes]
    keys: Mapping[str, bytes]


def encode(value: Advert | Circle | Letters | Survivors | Revealed) -> bytes:
    """Return the bytes of something that is said."""
    return json.dumps(_plain(value), separators=(",", ":"), sort_keys=True).encode()


def read_advert(payload: bytes) -> Advert:
    """Return a client's keys.

    Raises:
        ValueError: There are none.
    """
    return _read(payload, _advert)


def read_circle(payload: bytes) -> Circle:
    """Return what a client is told of its neighbours.

    Raises:
        ValueError: It is no such thing.
    """

    def made(said: Mapping[str, Any]) -> Circle:
        peers = {
            str(name): Peer(int(one["point"]), _advert(one["advert"]))
            for name, one in said["peers"].items()
        }
        clients, threshold, point = (int(said[n]) for n in ("clients", "threshold", "point"))
        return Circle(clients, threshold, point, peers, str(said["terms"]))

    return _read(payload, made)


def read_letters(payload: bytes) -> Letters:
    """Return sealed messages.

    Raises:
        ValueError: They are none, or not of the size that they have.
    """

    def made(said: Mapping[str, Any]) -> Letters:
        return Letters(_by_name(said["sealed"], SEALED_BYTES), int(said["clients"]))

    return _read(payload, made)


def read_survivors(payload: bytes) -> Survivors:
    """Return whose updates are counted.

    Raises:
        ValueError: It does not say.
    """
    return _read(
        payload,
        lambda said: Survivors(int(said["clients"]), frozenset(map(str, said["peers"]))),
    )


def read_revealed(payload: bytes) -> Revealed:
    """Return the shares that a client gives away.

    Raises:
        ValueError: They are none.
    """
    return _read(
        payload,
        lambda said: Revealed(
            _by_name(said["seeds"], SHARE_BYTES), _by_name(said["keys"], SHARE_BYTES)
        ),
    )


def _read(payload: bytes, made: Callable[[Mapping[str, Any]], _T]) -> _T:
    try:
        said = json.loads(payload)
        return made(said)
    except _MEANINGLESS as error:
        msg = f"what was said is not of the protocol: {type(error).__name__}: {error!s:.200}"
        raise ValueError(msg) from error


def _advert(said: Mapping[str, Any]) -> Advert:
    return Advert(*(_bytes(said[part], KEY_BYTES) for part in ("seal", "mask", "commitment")))


def _by_name(said: Mapping[str, Any], size: int) -> dict[str, bytes]:
    return {str(name): _bytes(value, size) for name, value in said.items()}


def _bytes(text: str, size: int) -> bytes:
    value = base64.b64decode(text, validate=True)
    if len(value) != size:
        raise ValueError(f"{len(value)} bytes, not {size}")
    return value


def _plain(value: Any) -> Any:
    match value:
        case bytes():
            return base64.b64encode(value).decode()
        case Mapping():
            return {name: _plain(one) for name, one in value.items()}
        case frozenset():
            return sorted(value)
        case int() | str():
            return value
    return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
