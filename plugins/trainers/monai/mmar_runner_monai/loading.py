# SPDX-License-Identifier: Apache-2.0
"""Batches for an engine: which samples, in which order, prepared by which processes."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch
from monai.data import list_data_collate
from torch.utils.data import DataLoader

from mmar_runner.errors import ComponentBuildError, TaskFailedError
from mmar_runner.federation.seeds import derive_seed
from mmar_runner_torch.order import Position

if TYPE_CHECKING:
    from mmar_runner_monai.items import Asked, SeededItems
    from mmar_runner_torch.team import Team

_log = logging.getLogger(__name__)

#: Where processes hand tensors to each other, and how much must be free there, in bytes.
_SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - it is looked at, not written to
_ROOM: Final = 1 << 28
#: Arguments of a data loader that change where and when samples are prepared, and no sample.
_PASSED_ON: Final = ("timeout", "prefetch_factor")
#: What stands before an error's own words where a process that prepared samples raised it.
_RAISED: Final = "TaskFailedError: "


@dataclass(frozen=True, slots=True)
class LoaderSettings:
    """What a data loader's declaration says.

    Attributes:
        batch_size: Samples of a batch.
        shuffle: Whether every epoch has an order of its own.
        drop_last: Whether a last batch of fewer samples is left out.
        workers: Processes that prepare samples; 0 for none besides this one.
        further: Arguments that are passed on as they are.
    """

    batch_size: int = 1
    shuffle: bool = False
    drop_last: bool = False
    workers: int = 0
    further: Mapping[str, Any] | None = None

    @classmethod
    def declared(cls, arguments: Mapping[str, Any], *, processes: int) -> LoaderSettings:
        """Return the settings of declared arguments.

        Args:
            arguments: Of a ``DataLoader``.
            processes: Trainers on this machine that share its cores.
        """
        return cls(
            int(arguments.get("batch_size", 1)),
            bool(arguments.get("shuffle", False)),
            bool(arguments.get("drop_last", False)),
            workers_for(int(arguments.get("num_workers", 0)), processes),
            {name: arguments[name] for name in _PASSED_ON if name in arguments},
        )


def workers_for(wanted: int, processes: int) -> int:
    """Return how many processes prepare samples: never more than there are cores for.

    It changes no result: what a sample becomes depends on its seed alone.

    Args:
        wanted: As declared.
        processes: Trainers on this machine that share its cores.
    """
    if wanted <= 0:
        return 0
    cores = max(len(os.sched_getaffinity(0)) // max(processes, 1), 1)
    if _SHARED_MEMORY.exists() and _free(_SHARED_MEMORY) < _ROOM:
        _log.warning("samples are prepared without further processes: %s is full", _SHARED_MEMORY)
        return 0
    return min(wanted, cores)


class Batches:
    """The batches of one epoch after the other, for an engine that iterates again and again.

    Args:
        items: The samples.
        settings: How they are put together.
        team: Each of its processes has its share of every batch.

    Attributes:
        position: Of the batch that comes next; who takes a batch moves it on by `done`.
        size: Samples of the batch that was given out last, in this process.
        factor: By which its mean loss is multiplied, so that the mean of all processes'
            gradients is that of the whole batch.
    """

    def __init__(self, items: SeededItems, settings: LoaderSettings, team: Team) -> None:
        self._items = items
        self._settings = settings
        self._team = team
        self.position = Position(0)
        self.size = 0
        self.factor = 1.0

    @property
    def dataset(self) -> Any:
        """The data set itself."""
        return self._items.dataset

    def __len__(self) -> int:
        samples, batch = len(self._items), self._settings.batch_size
        return samples // batch if self._settings.drop_last else -(-samples // batch)

    def __iter__(self) -> Iterator[Any]:
        """Yield what is left of the position's epoch.

        Raises:
            TaskFailedError: A sample cannot be prepared.
        """
        asked = self._asked(self.position)[self.position.batch :]
        shares = [one[self._team.rank :: self._team.size] for one in asked]
        # A process without a share has the whole batch, and counts none of it.
        loader = self._loader([share or one for share, one in zip(shares, asked, strict=True)])
        for whole, share, batch in zip(asked, shares, _plainly(loader), strict=True):
            self.size = len(share)
            self.factor = self._team.size * len(share) / len(whole)
            yield batch

    def done(self) -> None:
        """Move the position behind one more batch."""
        at = self.position
        ends = at.batch + 1 >= len(self)
        self.position = (
            Position(at.seed, at.epoch + 1) if ends else Position(at.seed, at.epoch, at.batch + 1)
        )

    def _asked(self, at: Position) -> list[list[Asked]]:
        """Return all batches of an epoch."""
        order = list(range(len(self._items)))
        if self._settings.shuffle:
            drawn = torch.Generator().manual_seed(derive_seed(at.seed, "order", at.epoch))
            order = torch.randperm(len(order), generator=drawn).tolist()
        asked = [(one, derive_seed(at.seed, "sample", at.epoch, one)) for one in order]
        size = self._settings.batch_size
        return [asked[begin : begin + size] for begin in range(0, len(self) * size, size)]

    def _loader(self, batches: list[list[Asked]]) -> DataLoader[Any]:
        further = dict(self._settings.further or {})
        workers = min(self._settings.workers, len(batches))
        if not workers:
            further.pop("prefetch_factor", None)
            further.pop("timeout", None)
        try:
            return DataLoader(
                self._items,
                batch_sampler=batches,
                num_workers=workers,
                collate_fn=list_data_collate,
                # Its own, so that nothing else is drawn when batches are.
                generator=torch.Generator().manual_seed(0),
                **further,
            )
        except (TypeError, ValueError) as error:
            raise ComponentBuildError(f"the data loader cannot be built: {error}") from error


def _plainly(loader: DataLoader[Any]) -> Iterator[Any]:
    """Yield batches; what a process that prepared samples raised is said in its own words."""
    batches = iter(loader)
    try:
        yield from batches
    except TaskFailedError as error:
        words = error.message.rpartition(_RAISED)[2].strip()
        raise TaskFailedError(words, hint=error.hint, details=error.message) from error
    finally:
        # Torch ends them at once when it is told to, and waits for them when it is not.
        getattr(batches, "_shutdown_workers", lambda: None)()


def _free(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize
