# SPDX-License-Identifier: Apache-2.0
"""One client's part in one round: keys, shares, masks. Nothing here touches disk or network.

A `ClientRound` makes new keys, and masks one update with them: the same masks on two updates
would show their difference. What comes after the update is `reveal`'s.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mmar_runner_secagg.keys import KeyPair, seal, unseal
from mmar_runner_secagg.payloads import (
    Advert,
    Circle,
    Letters,
    encode,
    read_circle,
    read_letters,
)
from mmar_runner_secagg.secrets_shared import SECRET_BYTES, SHARE_BYTES, split

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mmar_runner_secagg.payloads import Peer

#: The smallest number of clients of which a sum hides anything.
LEAST_CLIENTS: Final = 2


@dataclass(frozen=True, slots=True)
class Held:
    """Shares of one neighbour that a client keeps for it.

    Attributes:
        seed: Of the mask that is the neighbour's own.
        key: Of the key by which it agreed on masks.
    """

    seed: bytes
    key: bytes


class ClientRound:
    """The protocol until the update is masked.

    Args:
        name: The client.
        least_clients: Of how many clients a sum must be, or nothing is masked.
    """

    def __init__(self, name: str, least_clients: int = LEAST_CLIENTS) -> None:
        self.name = name
        self._least = max(least_clients, LEAST_CLIENTS)
        self._sealing = KeyPair.made()
        self._masking = KeyPair.made()
        self._seed = os.urandom(SECRET_BYTES)
        self._circle: Circle | None = None
        self._own_share = b""
        self.held: dict[str, Held] = {}
        self.clients = 0

    def advertise(self) -> bytes:
        """Return what is said first: public keys, and what the seed can be known by later."""
        commitment = hashlib.sha256(self._seed).digest()
        return encode(Advert(self._sealing.public, self._masking.public, commitment))

    def share(self, told: bytes) -> bytes:
        """Return a sealed pair of shares for each neighbour.

        Args:
            told: Who they are.

        Raises:
            ValueError: What was told does not protect this client, or is not of the protocol.
        """
        circle = read_circle(told)
        self._require_safe(circle)
        points = {peer.point: name for name, peer in circle.peers.items()}
        everywhere = [circle.point, *points]
        seeds = split(self._seed, circle.threshold, everywhere)
        keys = split(self._masking.private, circle.threshold, everywhere)
        self._circle, self._own_share = circle, seeds[circle.point]
        sealed = {
            name: self._sealed(name, circle.peers[name], seeds[point] + keys[point])
            for point, name in points.items()
        }
        return encode(Letters(sealed))

    def receive(self, told: bytes) -> None:
        """Take the shares that neighbours made; those that made none are out of the round.

        Args:
            told: What they sealed.

        Raises:
            ValueError: Too few go on, or something was changed on its way.
        """
        circle, letters = self._known_circle(), read_letters(told)
        for name, sealed in letters.sealed.items():
            peer = circle.peers.get(name)
            if peer is None:
                raise ValueError(f"shares of {name!r:.80}, which is no neighbour")
            key = self._letter_key(peer, from_peer=True)
            message = unseal(key, sealed, _about(name, self.name))
            self.held[name] = Held(message[:SHARE_BYTES], message[SHARE_BYTES:])
        self.clients = letters.clients
        if len(self.held) + 1 < circle.threshold or self.clients < self._least:
            msg = (
                f"{len(self.held) + 1} of {len(circle.peers) + 1} neighbours go on and"
                f" {circle.threshold} are needed; {self.clients} clients, at least {self._least}"
            )
            raise ValueError(msg)

    def mask_seeds(self) -> list[tuple[int, bytes]]:
        """Return sign and seed of every mask that is added to the update.

        Of two neighbours one adds what the other subtracts: in a sum of both nothing is left.
        """
        circle = self._known_circle()
        seeds = [(1, self._seed)]
        for name in sorted(self.held):
            public = circle.peers[name].advert.mask
            seeds.append((pair_sign(self.name, name), pair_seed(self._masking, public)))
        return seeds

    def kept(self) -> tuple[Mapping[str, Held], bytes, int]:
        """Return the shares of neighbours, the own share of the own seed, and the threshold."""
        return self.held, self._own_share, self._known_circle().threshold

    def _known_circle(self) -> Circle:
        if self._circle is None:
            raise ValueError("nothing was shared yet")
        return self._circle

    def _require_safe(self, circle: Circle) -> None:
        """Believe a server no numbers that would let it have both secrets of a client."""
        holders = len(circle.peers) + 1
        if self.name in circle.peers:
            raise ValueError("a client is no neighbour of its own")
        if not holders < 2 * circle.threshold <= 2 * holders:
            raise ValueError(f"threshold {circle.threshold} of {holders} shares is not safe")
        if min(circle.clients, holders) < self._least:
            raise ValueError(
                f"{circle.clients} clients take part, {holders} of them bound to each other;"
                f" this site hides among {self._least} at least"
            )

    def _sealed(self, name: str, peer: Peer, message: bytes) -> bytes:
        key = self._letter_key(peer, from_peer=False)
        return seal(key, message, _about(self.name, name))

    def _letter_key(self, peer: Peer, *, from_peer: bool) -> bytes:
        way = [self._sealing.public, peer.advert.seal]
        if from_peer:
            way.reverse()
        return self._sealing.agree(peer.advert.seal, b"mmar-runner secagg letter" + b"".join(way))


def pair_sign(name: str, other: str) -> int:
    """Return whether a client adds (1) or subtracts (-1) the mask that it shares with another."""
    return 1 if name < other else -1


def pair_seed(own: KeyPair, public: bytes) -> bytes:
    """Return the seed of the mask that two clients share.

    Args:
        own: The mask keys of one of them.
        public: That of the other.
    """
    both = b"".join(sorted([own.public, public]))
    return own.agree(public, b"mmar-runner secagg mask" + both)


def _about(sender: str, receiver: str) -> bytes:
    return f"{len(sender)}:{sender}{receiver}".encode()
