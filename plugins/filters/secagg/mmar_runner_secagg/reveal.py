# SPDX-License-Identifier: Apache-2.0
"""Which shares a client gives away once the updates are counted, and what it never does.

Whoever has enough shares of a neighbour's seed and of its key can read its update. So of each
neighbour a client gives one kind away, and never the other: what it gives is on the disk before
it is said, and a client that was killed in between gives the same again, or nothing.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from mmar_runner.storage.atomic import write_bytes_atomic
from mmar_runner_secagg.client_round import Held
from mmar_runner_secagg.payloads import Revealed, encode, read_survivors

if TYPE_CHECKING:
    from pathlib import Path

Kind = Literal["seed", "key"]


class RefusedToRevealError(ValueError):
    """What the server asks for would, or might, let it read an update."""


@dataclass(frozen=True, slots=True)
class Keeping:
    """What a client keeps from its masked update on, until the sum is unmasked.

    Attributes:
        held: Shares of its neighbours.
        own_share: Of its own seed.
        threshold: How many shares give a secret.
        least_clients: Of how many clients a sum must be.
        revealed: Which kind of share was given away, by neighbour; empty before.
    """

    held: Mapping[str, Held]
    own_share: bytes
    threshold: int
    least_clients: int
    revealed: Mapping[str, Kind]

    def keep(self, path: Path) -> None:
        """Write it down, durable; nobody but the site's user may read it.

        Raises:
            StorageError: It cannot be written.
        """
        plain = {
            "held": {name: [_text(h.seed), _text(h.key)] for name, h in self.held.items()},
            "own_share": _text(self.own_share),
            "threshold": self.threshold,
            "least_clients": self.least_clients,
            "revealed": dict(self.revealed),
        }
        write_bytes_atomic(path, json.dumps(plain).encode(), mode=0o600, durable=True)

    @classmethod
    def read(cls, path: Path) -> Keeping:
        """Return what was written down.

        Raises:
            RefusedToRevealError: There is nothing, or it is damaged: then nothing is given away.
        """
        try:
            plain: dict[str, Any] = json.loads(path.read_bytes())
            held = {name: Held(*map(_bytes, pair)) for name, pair in plain["held"].items()}
            return cls(
                held,
                _bytes(plain["own_share"]),
                int(plain["threshold"]),
                int(plain["least_clients"]),
                dict(plain["revealed"]),
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            msg = f"what was kept for unmasking cannot be read: {type(error).__name__}"
            raise RefusedToRevealError(msg) from error


def reveal(name: str, told: bytes, path: Path) -> bytes:
    """Return the shares that a client gives away; which kinds they are is written down first.

    Args:
        name: The client.
        told: Whose updates are counted.
        path: Where it keeps what it knows of this round.

    Raises:
        RefusedToRevealError: Too few updates are counted, or other ones than it was told before.
        StorageError: It cannot be written down.
    """
    keeping = Keeping.read(path)
    survivors = read_survivors(told)
    kinds = _kinds(keeping, survivors.clients, survivors.peers)
    if keeping.revealed and dict(keeping.revealed) != kinds:
        changed = sorted(n for n in kinds if keeping.revealed.get(n) != kinds[n])
        msg = f"the other kind of share was given away before: {', '.join(changed)}"
        raise RefusedToRevealError(msg)
    if not keeping.revealed:
        Keeping(
            keeping.held, keeping.own_share, keeping.threshold, keeping.least_clients, kinds
        ).keep(path)
    seeds = {n: keeping.held[n].seed for n, kind in kinds.items() if kind == "seed"}
    keys = {n: keeping.held[n].key for n, kind in kinds.items() if kind == "key"}
    return encode(Revealed({**seeds, name: keeping.own_share}, keys))


def _kinds(keeping: Keeping, clients: int, here: frozenset[str]) -> dict[str, Kind]:
    if strangers := here - keeping.held.keys():
        names = ", ".join(sorted(strangers))
        raise RefusedToRevealError(f"{names:.200}: no neighbours that gave their shares")
    if clients < keeping.least_clients or len(here) + 1 < keeping.threshold:
        msg = (
            f"a sum of {clients} updates would be unmasked, {len(here) + 1} of them of"
            f" neighbours; this site hides among {keeping.least_clients}, and"
            f" {keeping.threshold} neighbours"
        )
        raise RefusedToRevealError(msg)
    return {name: "seed" if name in here else "key" for name in sorted(keeping.held)}


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
