# SPDX-License-Identifier: Apache-2.0
"""The server's filters at the close of a round: over every update, and over what came of them.

One update passes at a time. Nothing here is on record: whoever is killed meanwhile begins with
the updates as they were accepted, and as noise comes from the round's secret, the same comes out.
"""

from __future__ import annotations

import asyncio
import hmac
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from mmar_runner.federation.seeds import derive_seed
from mmar_runner.interfaces.aggregator import UpdateKind
from mmar_runner.interfaces.filter import FilterContext
from mmar_runner.server.components.child_file import ChildFile, clear
from mmar_runner.server.rounds.update_blocks import read_blocks
from mmar_runner.storage.tensor_files import TensorReader, TensorWriter, sha256_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor
    from pathlib import Path

    from mmar_runner.server.components.filter_child import FilterChild
    from mmar_runner.server.rounds.contexts import RoundContexts
    from mmar_runner.server.rounds.open_round import OpenRound
    from mmar_runner.server.rounds.update_blocks import Update
    from mmar_runner.server.rounds.walk import Combination
    from mmar_runner.storage.coded_reader import BlockReader

#: Whose the result is, for filters that ask.
SERVER = "server"


@dataclass(frozen=True, slots=True)
class RoundFilters:
    """Filters of both directions.

    Attributes:
        inbound: What updates pass before they are combined; None for nothing.
        outbound: What a round's result passes before it is a model; None for nothing.
        contexts: Of rounds.
    """

    inbound: FilterChild | None
    outbound: FilterChild | None
    contexts: RoundContexts

    async def begin(self) -> None:
        """Have the children ready.

        Raises:
            RunFailedError: FILTER, a filter cannot be built.
            StorageError: A folder cannot be made.
        """
        for chain in (self.inbound, self.outbound):
            if chain is not None:
                await chain.begin()

    async def updates(
        self, combination: Combination, current: OpenRound, work: Executor
    ) -> Combination:
        """Return what is to be combined, with every update filtered.

        Args:
            combination: What was to be.
            current: The round.
            work: Does what takes time on the disk.

        Raises:
            RunFailedError: FILTER.
            RunStoppedError: It was given up.
            StorageError: Something cannot be read or written.
        """
        chain = self.inbound
        if chain is None:
            return combination
        found = [
            await self._passed(chain, combination, update, current, work)
            for update in combination.updates
        ]
        return replace(combination, updates=found)

    def draft(self) -> Path | None:
        """Return where a round's result goes to be filtered; None if nothing filters it.

        Raises:
            RunFailedError: FILTER, the folder was taken away.
        """
        if self.outbound is None:
            return None
        file = self.outbound.place / "result.safetensors"
        self.outbound.author.make_room(file)
        return file

    async def result(
        self, chain: FilterChild, source: Path, current: OpenRound, work: Executor
    ) -> Callable[[], BlockReader]:
        """Return what opens a round's result, filtered.

        Args:
            chain: The filters.
            source: As it was combined.
            current: The round.
            work: See `updates`.

        Raises:
            RunFailedError: FILTER.
            StorageError: Something cannot be read or written.
        """
        destination = source.with_name("filtered.safetensors")
        chain.author.make_room(destination)
        context = self._context(chain, current.number, SERVER, UpdateKind.WEIGHTS)
        received = (current.model.path, current.model.sha256)
        await chain.apply(source, destination, context, received)
        loop = asyncio.get_running_loop()
        opens = partial(ChildFile, destination, chain.author)
        await loop.run_in_executor(
            work, _require_usable, opens, current.model.path, chain, "the result"
        )
        return opens

    async def close(self) -> None:
        """End the children."""
        for chain in (self.inbound, self.outbound):
            if chain is not None:
                await chain.close()

    async def _passed(
        self,
        chain: FilterChild,
        combination: Combination,
        update: Update,
        current: OpenRound,
        work: Executor,
    ) -> Update:
        client, loop = update.contribution.client, asyncio.get_running_loop()
        source = chain.place / f"{client}.update"
        destination = chain.place / f"{client}.filtered"
        for file in (source, destination):
            chain.author.make_room(file)
        await loop.run_in_executor(work, _write, combination, update, source)
        context = self._context(
            chain,
            current.number,
            client,
            update.contribution.kind,
            update.contribution.num_samples,
        )
        received = (current.model.path, current.model.sha256)
        if update.base is not None:
            received = (update.base, await loop.run_in_executor(work, sha256_file, update.base))
        await chain.apply(source, destination, context, received)
        opens, what = partial(ChildFile, destination, chain.author), f"the update of {client}"
        model = combination.base
        await loop.run_in_executor(work, _require_usable, opens, model, chain, what)
        clear(source)
        return replace(update, open=opens)

    def _context(
        self,
        chain: FilterChild,
        number: int,
        who: str,
        kind: UpdateKind,
        num_samples: float = 0.0,
    ) -> FilterContext:
        about = self.contexts.of(number)
        key = hmac.digest(about.secret, f"{chain.slot}\n{who}".encode(), "sha256")
        return FilterContext(
            client_name=who,
            round=number,
            kind=kind,
            seed=derive_seed(self.contexts.state.seed, who, number),
            num_rounds=about.num_rounds,
            num_samples=num_samples,
            secret=key,
            ledger=chain.ledgers / who,
        )


def _write(combination: Combination, update: Update, path: Path) -> None:
    """Write an update as its client made it, in the model's types, block by block."""
    with TensorReader(combination.base) as model, update.open() as reader:
        infos = tuple(model.header.tensors.values())
        layout = [(one.name, one.dtype, one.shape) for one in infos]
        with TensorWriter(path, layout, {}, durable=False) as writer:
            for name, block in read_blocks(model, reader):
                combination.require_wanted()
                writer.write(name, block)
            writer.commit()


def _require_usable(
    opens: Callable[[], BlockReader], like: Path, chain: FilterChild, what: str
) -> None:
    """Let no filter make of tensors others than they were, or what nobody could average.

    Args:
        opens: Opens what came out.
        like: A file of the program's own with the same tensors.
        chain: The filters.
        what: What they were given.

    Raises:
        RunFailedError: FILTER.
    """
    with TensorReader(like) as model, opens() as reader:
        if _layout(reader) != _layout(model):
            raise chain.author.failure(f"made {what} others than its tensors")
        for name, block in read_blocks(model, reader):
            if not np.isfinite(block).all():
                raise chain.author.failure(f"made {what} not finite, in the tensor {name!r}")


def _layout(reader: BlockReader) -> dict[str, tuple[str, tuple[int, ...]]]:
    return {one.name: (one.dtype, one.shape) for one in reader.header.tensors.values()}
