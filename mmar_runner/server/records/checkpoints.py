# SPDX-License-Identifier: Apache-2.0
"""Finds the model that a resumed run goes on with; if it is damaged, goes back one round.

The journal says which bytes a model must have. The two newest models of a run are kept:
if the newest is not what the journal says and the one before is, the round between them is
done again. What an aggregator keeps from round to round is a part of the checkpoint, and as
good as the model beside it. Going back is recorded before anything else is touched, so that a
crash at any moment leaves a run that has gone back, or one that is about to.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.errors import StorageError
from mmar_runner.server.records.models import lost_error
from mmar_runner.server.records.record import Kind, LostModel, Rejected
from mmar_runner.server.records.update_bytes import UpdateBytes

if TYPE_CHECKING:
    from mmar_runner.server.records.model_file import ModelFile
    from mmar_runner.server.records.models import ModelStore
    from mmar_runner.server.records.run_record import RunRecord
    from mmar_runner.server.records.run_state import Past, RunState
    from mmar_runner.server.records.workspace import RunFolder
    from mmar_runner.storage.model_schema import ModelSchema

_EPOCH_BYTES: Final = 8
_BEST: Final = "best.safetensors"


def new_epoch() -> str:
    """Return a name for what clients may know of a run from here on."""
    return secrets.token_hex(_EPOCH_BYTES)


@dataclass(slots=True)
class Checkpoints:
    """The models of a run that is taken up again. Reads whole files: not for the loop's thread.

    Args:
        folder: The run's folder.
        record: Of the run; that it goes back is recorded there.
        models: The run's models.
    """

    folder: RunFolder
    record: RunRecord
    models: ModelStore

    @property
    def state(self) -> RunState:
        """What the journal adds up to."""
        return self.record.state

    def current(self) -> tuple[ModelFile, ModelSchema, LostModel | None]:
        """Return the model to go on with, and the newer one that was lost just now.

        Raises:
            DigestError: Neither it nor the one before is the recorded file.
            StorageError: Neither is there, or one may not be read.
        """
        state = self.state
        self._put_aside()  # what an earlier process had no time for
        lost = self._loss(state.round, state.model_sha256, state.state_sha256)
        if lost is not None:
            lost = self._go_back(lost)
        return *self.models.adopt(state.round, state.model_sha256), lost

    def best(self) -> LostModel | None:
        """See that ``best`` is the recorded best result; return the one that was lost.

        Its name is given after the record, so a crash between leaves the name of an older
        one: it is given again, as long as the round's own file is there.

        Raises:
            StorageError: A file may not be read, or a name not be given.
        """
        if self.state.best is None:
            self.models.put_aside(_BEST)  # what an earlier process had no time for
            return None
        number = self.state.best[0]
        expected = self._past.result_of(number)
        if not expected:
            lost = LostModel(number + 1, _BEST, "undone", "", "")
        elif (found := self.models.loss_of_file(_BEST, number + 1, expected)) is None:
            return None
        else:
            lost = found
        if self._is_whole(number):
            self.models.publish(number + 1, "best")
            return None
        self._record_best_lost(lost)
        return lost

    def updates(self) -> list[Rejected]:
        """Take back updates of the open round that are not there any more: they cannot count.

        Their clients are asked again, as after a failed task. Their bytes are compared too: a
        machine that lost its power may have torn what was never synced, and disks forget.

        Returns:
            What goes on record of each.
        """
        lost = []
        for name, counted in sorted(self.state.accepted.items()):
            if self._bytes.is_whole(counted):
                continue
            msg = "the accepted update is not on the disk any more, or damaged"
            error = StorageError(msg, reason="UPDATE_LOST")
            number = counted.update.facts.round
            lost.append(Rejected(name, number, error.reason, error.message))
            self._record(Kind.UPDATE_REFUSED, lost[-1].to_json())
        return lost

    def _go_back(self, lost: LostModel) -> LostModel:
        before = self._past.model_before
        if before is None:
            raise lost_error([lost], self.folder)
        second = self._loss(self.state.round - 1, before, self._past.state_before)
        if second is not None:
            raise lost_error([lost, second], self.folder)
        lost = LostModel.from_json({**lost.to_json(), "kept": self._kept()})
        self._record(Kind.CHECKPOINT_LOST, {**lost.to_json(), "epoch": new_epoch()})
        self._put_aside()
        return lost

    def _loss(self, number: int, model: str, state: str) -> LostModel | None:
        """Say what is wrong with a round's model, or with the aggregator's state beside it."""
        return self.models.loss_of(number, model) or self.models.state_loss_of(number, state)

    def _kept(self) -> list[str]:
        """Return whose updates for the round to be done again are still there."""
        closed = self.state.closed
        accepted = {} if closed is None else closed.accepted
        return sorted(name for name, counted in accepted.items() if self._bytes.is_whole(counted))

    @property
    def _past(self) -> Past:
        return self.state.known_past

    @property
    def _bytes(self) -> UpdateBytes:
        return UpdateBytes(self.folder.updates, self.record.journal)

    def _put_aside(self) -> None:
        """Give the file that was lost last another name, as long as its round is not done again."""
        lost = self.state.lost[-1] if self.state.lost else None
        if lost is None or lost.reason == "missing" or lost.round != self.state.round + 1:
            return
        times = sum(one.round == lost.round for one in self.state.lost if one.reason != "missing")
        self.models.put_aside(lost.file, times)

    def _record_best_lost(self, lost: LostModel) -> None:
        """Fall back to the last best result that is still there."""
        whole = [number for number, _ in self._past.bests[:-1] if self._is_whole(number)]
        instead = whole[-1] if whole else None
        self._record(Kind.BEST_MODEL_LOST, {**lost.to_json(), "instead": instead})
        self.models.put_aside(_BEST)
        if instead is not None:
            self.models.publish(instead + 1, "best")

    def _is_whole(self, number: int) -> bool:
        expected = self._past.result_of(number)
        return bool(expected) and self.models.loss_of(number + 1, expected) is None

    def _record(self, kind: Kind, data: dict[str, Any]) -> None:
        self.record.append(kind, data).result()
