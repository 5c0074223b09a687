# SPDX-License-Identifier: Apache-2.0
"""What a round of secure aggregation costs, measured in one process without a network.

    python -m mmar_runner_secagg.costs --clients 4 16 64 --parameters 1000000

Each line is one number of clients: bytes that a client sends and gets beside its update, its
processor seconds, and those of the server, with nobody and with a third of the clients lost.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from mmar_runner_secagg.client_round import ClientRound
from mmar_runner_secagg.fixed_point import FixedPoint
from mmar_runner_secagg.masks import Mask, add_masks
from mmar_runner_secagg.parameters import lost_at_most, parameters
from mmar_runner_secagg.reveal import Keeping, reveal
from mmar_runner_secagg.server_round import ServerRound

_T = TypeVar("_T")


class _Measured:
    """One round; its sums go by side: ``client``, ``server``, and bytes."""

    def __init__(self, clients: int, values: int, lost: int) -> None:
        self.seconds = {"client": 0.0, "server": 0.0}
        self.bytes = 0
        self._names = [f"site-{number:04d}" for number in range(clients)]
        self._values = values
        self._lost = lost

    def play(self, folder: Path) -> None:
        """Play the round, with the update of one client: all cost the same."""
        one, parties = self._names[0], {name: ClientRound(name) for name in self._names}
        server = ServerRound(b"costs")
        said = {name: party.advertise() for name, party in parties.items()}
        told = self._clocked("server", lambda: server.keys(said))
        letters = {name: party.share(told[name]) for name, party in parties.items() if name != one}
        letters[one] = self._clocked("client", lambda: parties[one].share(told[one]))
        answers = self._clocked("server", lambda: server.shares(letters))
        self.bytes += sum(len(d[one]) for d in (said, told, letters, answers))
        here = self._names[: len(self._names) - self._lost]
        for name in here:
            if name != one:
                parties[name].receive(answers[name])
        self._clocked("client", lambda: self._mask(parties[one], answers[one]))
        for name in here:
            held, own, threshold = parties[name].kept()
            Keeping(held, own, threshold, 2, {}).keep(folder / name)
        told = self._clocked("server", lambda: server.surviving(here))
        shares = {n: reveal(n, told[n], folder / n) for n in here if n != one}
        shares[one] = self._clocked("client", lambda: reveal(one, told[one], folder / one))
        self._clocked("server", lambda: server.unmask(shares))
        self.bytes += len(told[one]) + len(shares[one])
        self._clocked("server", lambda: self._undo(server))

    def _mask(self, party: ClientRound, answer: bytes) -> None:
        party.receive(answer)
        numbers = FixedPoint(32, 1.0, party.clients).encode(np.zeros(self._values))
        add_masks(numbers, "w", 0, [(sign, Mask(seed, 32)) for sign, seed in party.mask_seeds()])

    def _undo(self, server: ServerRound) -> None:
        total = np.zeros(self._values, np.uint32)
        add_masks(total, "w", 0, [(sign, Mask(seed, 32)) for sign, seed in server.masks or ()])

    def _clocked(self, side: str, work: Callable[[], _T]) -> _T:
        begun = time.process_time()
        result = work()
        self.seconds[side] += time.process_time() - begun
        return result


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--clients", type=int, nargs="+", default=[4, 16, 64])
    parser.add_argument("--parameters", type=int, default=1_000_000)
    asked = parser.parse_args()
    print("| clients | neighbours | bytes | client s | server s | server s, a third lost |")  # noqa: T201
    print("|---|---|---|---|---|---|")  # noqa: T201
    for clients in asked.clients:
        measured = []
        for lost in (0, lost_at_most(clients)):
            one = _Measured(clients, asked.parameters, lost)
            with tempfile.TemporaryDirectory() as folder:
                one.play(Path(folder))
            measured.append(one)
        calm, hurt = measured
        print(  # noqa: T201
            f"| {clients} | {parameters(clients).degree} | {calm.bytes:,} "
            f"| {calm.seconds['client']:.2f} | {calm.seconds['server']:.2f} "
            f"| {hurt.seconds['server']:.2f} |"
        )


if __name__ == "__main__":
    main()
