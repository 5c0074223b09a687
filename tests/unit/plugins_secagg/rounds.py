# SPDX-License-Identifier: Apache-2.0
"""A whole round of the protocol in one process, in which clients are lost at any step."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from mmar_runner_secagg.client_round import ClientRound
from mmar_runner_secagg.fixed_point import FixedPoint
from mmar_runner_secagg.masks import Bits, Mask, add_masks
from mmar_runner_secagg.reveal import Keeping, reveal
from mmar_runner_secagg.server_round import ServerRound

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    import numpy.typing as npt

#: Where a client may be lost, in the order of the protocol.
STEPS = ("keys", "shares", "update", "unmask")


@dataclass
class Outcome:
    """What a round gave: the unmasked sum, the plain one, and what the server saw."""

    total: npt.NDArray[Any]
    plain: npt.NDArray[Any]
    seen: dict[str, npt.NDArray[Any]] = field(default_factory=dict)


def play(
    values: Mapping[str, npt.NDArray[Any]],
    lost: Mapping[str, Collection[str]],
    folder: Path,
    *,
    bits: Bits = 32,
    clip: float = 1.0,
) -> Outcome:
    """Play one round.

    Args:
        values: Each client's differences.
        lost: Who is lost at which of `STEPS`: does nothing from there on.
        folder: Where clients keep what they keep.
    """
    gone: set[str] = set()

    def left(step: str) -> list[str]:
        gone.update(lost.get(step, ()))
        return sorted(values.keys() - gone)

    server = ServerRound(b"the graph of this round")
    clients = {name: ClientRound(name) for name in values}
    told = server.keys({n: clients[n].advertise() for n in left("keys")})
    letters = {}
    for name in left("shares"):
        letters[name] = clients[name].share(told[name])
        server.check("shares", name, letters[name])
    told = server.shares(letters)
    seen, plain = {}, {}
    for name in left("update"):
        client = clients[name]
        client.receive(told[name])
        held, own, threshold = client.kept()
        Keeping(held, own, threshold, 2, {}).keep(folder / name)
        plain[name] = FixedPoint(bits, clip, client.clients).encode(values[name])
        masked = plain[name].copy()
        add_masks(masked, "w", 0, [(s, Mask(seed, bits)) for s, seed in client.mask_seeds()])
        seen[name] = masked
    told = server.surviving(seen)
    shares = {}
    for name in left("unmask"):
        shares[name] = reveal(name, told[name], folder / name)
        server.check("unmask", name, shares[name])
    server.unmask(shares)
    total = np.sum(list(seen.values()), axis=0, dtype=f"<u{bits // 8}")
    assert server.masks is not None
    add_masks(total, "w", 0, [(sign, Mask(seed, bits)) for sign, seed in server.masks])
    return Outcome(total, np.sum(list(plain.values()), axis=0, dtype=f"<u{bits // 8}"), seen)
