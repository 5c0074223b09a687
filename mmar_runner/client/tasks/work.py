# SPDX-License-Identifier: Apache-2.0
"""What a session needs of whoever does its tasks, wherever and however that is done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias

from mmar_runner.interfaces.client_trainer import tell_nobody

if TYPE_CHECKING:
    from collections.abc import Callable

    from mmar_runner.client.files.pending import PendingUpdate, Unsettled
    from mmar_runner.client.files.workspace import RunFiles
    from mmar_runner.client.tasks.evaluation import Evaluation
    from mmar_runner.client.transfer.downloads import ReceivedModel
    from mmar_runner.errors import MmarRunnerError
    from mmar_runner.interfaces.client_trainer import Progress
    from mmar_runner.wire.messages import RegisterReply, SiteState, TaskFailure

    #: Begins the work of one run: its files, and what the server told at Register.
    WorkFactory: TypeAlias = Callable[[RunFiles, RegisterReply], "Work"]


class Work(Protocol):
    """Turns received models into updates: see `LocalWork`."""

    @property
    def cross_validates(self) -> bool:
        """Whether models of others are validated once the rounds are done."""
        ...

    @property
    def evaluation(self) -> Evaluation:
        """What is done for that."""
        ...

    @property
    def leaves_older(self) -> bool:
        """Whether a task is left as soon as there is a newer one.

        A trainer is not: it has its round done before it is asked for the next. Whoever waits
        for others may wait for ever.
        """
        ...

    def prepare(self) -> None:
        """Begin to get ready for the first task."""
        ...

    async def perform(
        self, model: ReceivedModel, progress: Progress = tell_nobody
    ) -> PendingUpdate:
        """Have an update made of a model; what must leave lies in the run's folder.

        Raises:
            TaskError: It did not succeed.
            StorageError: A file cannot be written or read.
        """
        ...

    def below(self) -> list[SiteState]:
        """Return what the sites below a combiner do; none below anybody else."""
        ...

    def words_for(self, error: MmarRunnerError) -> TaskFailure:
        """Return what of a failure the server is told."""
        ...

    async def settle(self, unsettled: Unsettled) -> None:
        """Do what is left once an update was acknowledged."""
        ...

    async def close(self) -> None:
        """End it, even in the middle of a task."""
        ...
