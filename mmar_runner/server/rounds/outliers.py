# SPDX-License-Identifier: Apache-2.0
"""Says whose update is unlike the others': far longer, or against them.

A rule such as FedAvg takes whatever is finite, and nobody would notice what one site does to
the model. So the updates of a closed round are looked at beside the work on the next one: a
sample of their elements, as differences to the model that they were made from. Nothing is
refused for it; a site with other data may well differ, and it is for people to judge.

Length and direction are held against the middle of all (the median of the lengths, the
coordinate-wise median of the directions), which less than half of the sites cannot move at will.
"""

from __future__ import annotations

import asyncio
import logging
import math
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from mmar_runner.errors import MmarRunnerError
from mmar_runner.interfaces.aggregator import UpdateKind
from mmar_runner.interfaces.observer import Observation, Topic
from mmar_runner.server.records.record import Kind
from mmar_runner.server.rounds.round_aggregation import Withdrawn
from mmar_runner.server.rounds.update_blocks import Opened
from mmar_runner.storage.dtypes import holds_fractions, numpy_dtype
from mmar_runner.storage.tensor_files import TensorReader

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from concurrent.futures import Executor
    from pathlib import Path

    import numpy.typing as npt

    from mmar_runner.interfaces.observer import Observer
    from mmar_runner.server.records.record import CountedUpdate
    from mmar_runner.server.records.run_record import RunRecord
    from mmar_runner.server.rounds.open_round import OpenRound
    from mmar_runner.server.rounds.round_aggregation import RoundAggregation
    from mmar_runner.server.rounds.update_blocks import Update
    from mmar_runner.storage.coded_reader import BlockReader
    from mmar_runner.storage.header import TensorInfo

    Rows = npt.NDArray[np.float64]
    Stretch = tuple[TensorInfo, int, int]

_log = logging.getLogger(__name__)

#: So many times as long as the middle one is unlike the others.
FAR: Final = 5.0
#: The cosine of the angle to the middle direction from which on an update goes against it.
AGAINST: Final = -0.5
#: Of fewer updates none is the odd one.
_LEAST_UPDATES: Final = 3
#: Elements that are looked at, of all updates together, and of one at the most.
_ELEMENTS: Final = 1 << 20
_ELEMENTS_OF_ONE: Final = 64 << 10
#: How often rounds are looked at, at most, in seconds: short ones are not to wait for it.
_PAUSE_SECONDS: Final = 1.0
#: Of how many in one round it is said.
_MOST: Final = 10


@dataclass(frozen=True, slots=True)
class Outlier:
    """An update that is unlike the others of its round.

    Attributes:
        client: Whose.
        times: How long its difference is, the middle one's length being 1.
        cosine: Of the angle between it and the middle direction.
    """

    client: str
    times: float
    cosine: float

    @property
    def message(self) -> str:
        """What it is, in a clause about the client."""
        said = []
        if self.times > FAR:
            said.append(f"its update is {self.times:.3g} times as long as the middle one")
        if self.cosine < AGAINST:
            said.append(f"its update goes against the others' (cosine {self.cosine:.2f})")
        return ", and ".join(said)

    def to_json(self, round_number: int) -> dict[str, Any]:
        """Return it as the journal stores it."""
        return {
            "client": self.client,
            "round": round_number,
            "times": float(f"{self.times:.6g}"),
            "cosine": round(self.cosine, 4),
            "message": self.message,
        }


@dataclass(slots=True, kw_only=True)
class OutlierWatch:
    """Looks at closed rounds, and puts on record what it finds.

    Attributes:
        aggregation: Knows where updates and models lie.
        record: Of the run.
        observer: Is told.
    """

    aggregation: RoundAggregation
    record: RunRecord
    observer: Observer
    _looked: float = field(default=-math.inf, init=False)

    async def look(
        self, current: OpenRound, counted: Sequence[CountedUpdate], work: Executor
    ) -> None:
        """Look at a closed round, unless another was looked at just now.

        Args:
            current: The round; its files are still there.
            counted: Its updates.
            work: Does what takes time on the disk.
        """
        loop = asyncio.get_running_loop()
        masked = self.aggregation.aggregator.takes
        # A combiner looks at its sites' updates by itself; here there is only their sum.
        counted = [one for one in counted if not one.update.facts.parts]
        if masked or len(counted) < _LEAST_UPDATES or loop.time() - self._looked < _PAUSE_SECONDS:
            return
        self._looked = loop.time()
        try:
            found = await loop.run_in_executor(work, self._find, current, counted)
        except (OSError, MmarRunnerError) as error:
            _log.warning("updates of round %d were not compared: %s", current.number, error)
            return
        for outlier in found:
            facts = outlier.to_json(current.number)
            self.record.append(Kind.OUTLIER, facts)
            self.observer.observe(Observation(Topic.OUTLIER, facts))

    def _find(self, current: OpenRound, counted: list[CountedUpdate]) -> list[Outlier]:
        combination = self.aggregation.combination(current, counted)
        if isinstance(combination, Withdrawn):
            return []
        return find_outliers(combination.base, combination.updates)


def find_outliers(base: Path, updates: Sequence[Update]) -> list[Outlier]:
    """Return the updates that are unlike the others, the longest first.

    Args:
        base: The model that those were made from which do not say another.
        updates: Of a round, with tensors of that model's shapes.

    Raises:
        StorageError: A file cannot be read.
    """
    if len(updates) < _LEAST_UPDATES:
        return []
    with TensorReader(base) as model:
        stretches = list(_sampled(list(model.header.tensors.values()), len(updates)))
        rows = _differences(model, updates, stretches)
    lengths = np.linalg.norm(rows, axis=1)
    middle = float(np.median(lengths))
    if not (0 < middle < math.inf):
        return []
    with np.errstate(invalid="ignore", divide="ignore"):
        rows /= lengths[:, np.newaxis]
    rows[~np.isfinite(rows)] = 0
    cosines = _cosines(rows)
    found = [
        Outlier(update.contribution.client, float(length) / middle, float(cosine))
        for update, length, cosine in zip(updates, lengths, cosines, strict=True)
    ]
    odd = [one for one in found if one.message]
    return sorted(odd, key=lambda one: (-one.times, one.client))[:_MOST]


def _cosines(units: Rows) -> Rows:
    """Return the cosine of every row with the rows' coordinate-wise median."""
    direction = np.median(units, axis=0)
    length = float(np.linalg.norm(direction))
    if not length:
        return np.zeros(len(units))
    cosines: Rows = units @ (direction / length)
    return cosines


def _sampled(tensors: Sequence[TensorInfo], updates: int) -> Iterator[Stretch]:
    """Yield which elements are looked at: of every floating tensor its share, at any place.

    The place is drawn anew each time, so that nobody knows where nobody looks.
    """
    floating = [info for info in tensors if holds_fractions(info.dtype)]
    total = sum(info.count for info in floating)
    most = min(_ELEMENTS_OF_ONE, max(1, _ELEMENTS // updates))
    for info in floating:
        count = info.count if total <= most else math.ceil(info.count * most / total)
        if count:
            yield info, secrets.randbelow(info.count - count + 1), count


def _differences(
    model: TensorReader, updates: Sequence[Update], stretches: Sequence[Stretch]
) -> Rows:
    rows = np.empty((len(updates), sum(count for _, _, count in stretches)))
    below = _read(model, stretches)
    older: Mapping[Path, Rows] = {
        path: _of_file(path, stretches)
        for path in {one.base for one in updates if one.base is not None}
    }
    with Opened(updates) as files:
        for index, update in enumerate(updates):
            rows[index] = _read(files.reader(index), stretches)
            if update.contribution.kind is UpdateKind.WEIGHTS:
                rows[index] -= below if update.base is None else older[update.base]
    return rows


def _of_file(path: Path, stretches: Sequence[Stretch]) -> Rows:
    with TensorReader(path) as reader:
        return _read(reader, stretches)


def _read(reader: BlockReader, stretches: Sequence[Stretch]) -> Rows:
    read = []
    for info, start, count in stretches:
        block = np.empty(count, dtype=numpy_dtype(info.dtype))
        reader.read_into(info.name, start, block)
        read.append(block.astype(np.float64))
    return np.concatenate(read) if read else np.empty(0)
