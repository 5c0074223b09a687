# SPDX-License-Identifier: Apache-2.0
"""The server's part in one round: it passes letters on, and undoes masks of sums.

It draws nothing and remembers nothing but what clients said: the same payloads give the same
answers, so that a server that was killed goes on from what it had written down.
"""

from __future__ import annotations

import contextlib
import hashlib
from typing import TYPE_CHECKING

from mmar_runner_secagg.client_round import pair_seed, pair_sign
from mmar_runner_secagg.graph import neighbours
from mmar_runner_secagg.keys import KeyPair, require_usable
from mmar_runner_secagg.parameters import Parameters, parameters
from mmar_runner_secagg.payloads import (
    Advert,
    Circle,
    Letters,
    Peer,
    Revealed,
    Survivors,
    encode,
    read_advert,
    read_letters,
    read_revealed,
)
from mmar_runner_secagg.secrets_shared import join

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping


class TooFewError(Exception):
    """Too few clients are left: nothing can be unmasked."""


class ServerRound:
    """Phases in their order: `keys`, `shares`, `survivors`, `unmask`.

    Args:
        seed: Shuffles the graph.
        terms: How clients must encode numbers.

    Attributes:
        masks: Sign and seed of what has to be added to the sum, after `unmask`.
        survivors: Whose updates are summed, sorted, after `survivors`.
        clients: How many gave their shares to others: sums have that many at most.
    """

    def __init__(self, seed: bytes, terms: str = "") -> None:
        self._terms = terms
        self._seed = seed
        self._adverts: dict[str, Advert] = {}
        self._near: dict[str, tuple[str, ...]] = {}
        self._numbers = Parameters(0, 0, 0)
        self._sharing: set[str] = set()
        self.survivors: list[str] = []
        self.masks: list[tuple[int, bytes]] | None = None

    @property
    def clients(self) -> int:
        """How many gave their shares to others."""
        return len(self._sharing)

    @property
    def quorum(self) -> int:
        """How many clients are needed in every phase after the first."""
        return self._numbers.quorum

    def check(self, phase: str, client: str, payload: bytes) -> None:
        """Refuse what is not of the protocol, before it is counted.

        Raises:
            ValueError: It is not what this client may say now.
        """
        if phase == "keys":
            advert = read_advert(payload)
            require_usable(advert.seal)
            require_usable(advert.mask)
        elif phase == "shares":
            if read_letters(payload).sealed.keys() != set(self._near[client]):
                raise ValueError("letters are for each neighbour, and for nobody else")
        elif phase == "unmask":
            revealed = read_revealed(payload)
            here, lost = self._asked_of(client)
            if revealed.seeds.keys() != here or revealed.keys.keys() != lost:
                raise ValueError("shares are of what was asked for, and of nothing else")

    def keys(self, said: Mapping[str, bytes]) -> dict[str, bytes]:
        """Take everybody's keys; answer who the neighbours are.

        Raises:
            TooFewError: There is one client, or none.
        """
        self._adverts = {name: read_advert(said[name]) for name in sorted(said)}
        if len(self._adverts) < 2:  # noqa: PLR2004 - a sum of one hides nothing
            raise TooFewError(f"{len(self._adverts)} client takes part, and a sum needs 2")
        self._numbers = parameters(len(self._adverts))
        self._near = neighbours(list(self._adverts), self._numbers.degree, self._seed)
        points = {name: place for place, name in enumerate(self._adverts, start=1)}
        return {name: encode(self._circle(name, points)) for name in self._adverts}

    def shares(self, said: Mapping[str, bytes]) -> dict[str, bytes]:
        """Take the letters; answer them to whom they are for.

        Raises:
            TooFewError: Too few wrote some.
        """
        self._require(said, "gave their shares to others")
        self._sharing = set(said)
        letters = {name: read_letters(said[name]).sealed for name in sorted(said)}
        answers = {}
        for name in letters:
            mine = {other: letters[other][name] for other in self._near[name] if other in letters}
            answers[name] = encode(Letters(mine, len(letters)))
        return answers

    def surviving(self, names: Collection[str]) -> dict[str, bytes]:
        """Take whose updates are to be summed; tell each which neighbours are among them.

        Raises:
            TooFewError: They are too few.
            ValueError: One of them did not share.
        """
        self._require(names, "sent an update")
        if strangers := set(names) - self._sharing:
            raise ValueError(f"{', '.join(sorted(strangers))}: masked for nobody")
        self.survivors = sorted(names)
        here = set(names)
        return {
            name: encode(Survivors(len(here), frozenset(here & set(self._near[name]))))
            for name in self.survivors
        }

    def unmask(self, said: Mapping[str, bytes]) -> None:
        """Take shares, and find the masks that are left in the sum.

        Raises:
            TooFewError: They do not suffice, or some were not as they had been made.
        """
        revealed = {name: read_revealed(said[name]) for name in sorted(said)}
        points = {name: place for place, name in enumerate(self._adverts, start=1)}
        masks = [(-1, self._seed_of(name, revealed, points)) for name in self.survivors]
        for lost in sorted(self._sharing - set(self.survivors)):
            keys = self._keys_of(lost, revealed, points)
            for near in self._near[lost]:
                if near in self.survivors:
                    # The lost one would have taken away what this neighbour has added.
                    seed = pair_seed(keys, self._adverts[near].mask)
                    masks.append((pair_sign(lost, near), seed))
        self.masks = masks

    def _circle(self, name: str, points: Mapping[str, int]) -> Circle:
        peers = {other: Peer(points[other], self._adverts[other]) for other in self._near[name]}
        numbers = self._numbers
        return Circle(numbers.clients, numbers.threshold, points[name], peers, self._terms)

    def _asked_of(self, client: str) -> tuple[set[str], set[str]]:
        """Return of whom a survivor gives the seed's share, and of whom the key's."""
        sharing = set(self._near[client]) & self._sharing
        here = sharing & set(self.survivors)
        return here | {client}, sharing - here

    def _seed_of(
        self, name: str, revealed: Mapping[str, Revealed], points: Mapping[str, int]
    ) -> bytes:
        shares = {points[who]: r.seeds[name] for who, r in revealed.items() if name in r.seeds}
        announced = self._adverts[name].commitment
        return self._joined(shares, name, lambda seed: hashlib.sha256(seed).digest() == announced)

    def _keys_of(
        self, name: str, revealed: Mapping[str, Revealed], points: Mapping[str, int]
    ) -> KeyPair:
        shares = {points[who]: r.keys[name] for who, r in revealed.items() if name in r.keys}
        announced = self._adverts[name].mask
        return KeyPair.of(
            self._joined(shares, name, lambda private: KeyPair.of(private).public == announced)
        )

    def _joined(
        self, shares: Mapping[int, bytes], name: str, announced: Callable[[bytes], bool]
    ) -> bytes:
        """Return a secret; one share that is not as it was made is done without, if it can be."""
        threshold = self._numbers.threshold
        if len(shares) < threshold:
            msg = f"the masks of {name} cannot be undone: {len(shares)} shares of {threshold}"
            raise TooFewError(msg)
        # Only the first shares are looked at: leaving out one behind them changes nothing.
        for left_out in (None, *sorted(shares)[:threshold]):
            others = {point: share for point, share in shares.items() if point != left_out}
            with contextlib.suppress(ValueError):
                if announced(secret := join(others, threshold)):
                    return secret
        raise TooFewError(f"shares of {name} are not as they were made")

    def _require(self, names: Collection[str], did: str) -> None:
        if len(names) < self.quorum:
            msg = (
                f"{len(names)} of {self._numbers.clients} clients {did}, and {self.quorum} are"
                " needed: no more than a third may be lost in one round"
            )
            raise TooFewError(msg)
