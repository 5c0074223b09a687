# SPDX-License-Identifier: Apache-2.0
"""What a watcher of a run wants to see, folded from observations. Pure: no clock, no screen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.cli.views.wording import best_model, no_answer
from mmar_runner.documents.words import printable
from mmar_runner.federation.client_status import ClientStatus
from mmar_runner.federation.run_status import RunStatus
from mmar_runner.interfaces.observer import Topic

if TYPE_CHECKING:
    from collections.abc import Callable

    from mmar_runner.interfaces.observer import Observation


class TaskStatus(StrEnum):
    """What a watcher sees of a client's task, beyond what the client says that it is at."""

    UPLOADING = "uploading"
    FAILED = "failed"
    REFUSED = "refused"


#: What ends with the run.
_AT_WORK: Final = frozenset({ClientStatus.TRAINING, ClientStatus.VALIDATING, TaskStatus.UPLOADING})


@dataclass(slots=True)
class ClientRow:
    """One client as it stands.

    Attributes:
        state: What it is at, or what became of its task.
        done_bytes: Bytes of the current model or update that are there.
        total_bytes: Bytes of the current model or update; 0 if unknown.
        step: Steps of its task that are done; 0 if it tells of none.
        steps: Of how many; 0 if that is not known.
        seconds: How long the last local training took; None before the first.
        metrics: Of the last local training.
        note: Why the client left or its update does not count; empty otherwise.
    """

    state: ClientStatus | TaskStatus = ClientStatus.IDLE
    done_bytes: int = 0
    total_bytes: int = 0
    step: int = 0
    steps: int = 0
    seconds: float | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""


@dataclass(slots=True)
class RunView:
    """A run as it stands; `see` folds one observation into it."""

    listen: str = ""
    run_number: int | None = None
    round: int | None = None
    num_rounds: int | None = None
    rounds_done: int = 0
    last_seconds: float | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)
    best: str = ""
    message: str = ""
    status: str = ""
    clients: dict[str, ClientRow] = field(default_factory=dict)
    own_name: str = ""

    def see(self, observation: Observation) -> None:
        """Fold one observation into the view, with nothing in it that a terminal would obey."""
        _FOLDS[observation.topic](self, _harmless(observation.data))

    @property
    def total_rounds(self) -> int | None:
        """The round to stop at; None if the run never stops or that is not known."""
        return None if self.num_rounds is None or self.num_rounds < 0 else self.num_rounds

    def row(self, data: Mapping[str, Any]) -> ClientRow:
        """Return the row of the client that ``data`` speaks of.

        A session observes only itself and does not repeat its own name.
        """
        return self.clients.setdefault(data.get("client") or self.own_name, ClientRow())

    def begin_run(self, data: Mapping[str, Any]) -> None:
        """Forget an earlier run: who stands works for one after the other."""
        if self.run_number not in {None, data.get("run_number")} or self.status:
            self.round = self.num_rounds = self.last_seconds = None
            self.rounds_done, self.best, self.status, self.message = 0, "", "", ""
            self.metrics = {}
            self.clients.clear()
        self.run_number = data.get("run_number")

    def enter_round(self, data: Mapping[str, Any]) -> None:
        """Note the round that ``data`` speaks of."""
        self.round = data["round"]
        self.num_rounds = data.get("num_rounds", self.num_rounds)
        # Rounds before this one lie behind the run, whoever saw them: also after a resumption.
        self.rounds_done = max(self.rounds_done, data["round"])
        self.message = ""

    def leave_round(self, data: Mapping[str, Any]) -> None:
        """Note that the round that ``data`` speaks of is over, for whoever watches."""
        if data.get("round") is not None:
            self.rounds_done = max(self.rounds_done, data["round"] + 1)


def _harmless(value: Any) -> Any:
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, Mapping):
        return {_harmless(key): _harmless(item) for key, item in value.items()}
    return [_harmless(item) for item in value] if isinstance(value, list | tuple) else value


def _listening(view: RunView, data: Mapping[str, Any]) -> None:
    view.begin_run(data)
    view.listen = str(data.get("listen") or data.get("target") or "")


def _registered(view: RunView, data: Mapping[str, Any]) -> None:
    view.own_name = str(data["client"])
    view.begin_run(data)
    view.num_rounds = data.get("num_rounds")
    view.message = ""
    view.row(data).state = ClientStatus.IDLE


def _client_joined(view: RunView, data: Mapping[str, Any]) -> None:
    row = view.row(data)
    row.state, row.note = ClientStatus.IDLE, ""


def _client_left(view: RunView, data: Mapping[str, Any]) -> None:
    row = view.row(data)
    reason = str(data.get("reason") or "")
    if reason == RunStatus.FINISHED:  # the run is over, so everybody goes home
        row.state, row.note = ClientStatus.DONE, ""
    else:
        row.state, row.note = ClientStatus.LEFT, reason


def _client_removed(view: RunView, data: Mapping[str, Any]) -> None:
    row = view.row(data)
    row.state, row.note = ClientStatus.LEFT, str(data.get("message") or "")


def _site_declined(view: RunView, data: Mapping[str, Any]) -> None:
    row = view.row(data)
    row.state, row.note = TaskStatus.REFUSED, str(data.get("message") or data.get("reason") or "")


def _package_received(view: RunView, data: Mapping[str, Any]) -> None:
    view.message = f"received the MMAR {data.get('mmar')}"


def _client_state(view: RunView, data: Mapping[str, Any]) -> None:
    row = view.row(data)
    row.state = ClientStatus(str(data.get("state")))
    row.step, row.steps = int(data.get("step") or 0), int(data.get("steps") or 0)


def _round_started(view: RunView, data: Mapping[str, Any]) -> None:
    view.enter_round(data)
    for name in data.get("participants") or ():
        row = view.clients.setdefault(name, ClientRow())
        row.state, row.done_bytes, row.total_bytes, row.note = ClientStatus.TRAINING, 0, 0, ""
        row.step = row.steps = 0


def _client_progress(view: RunView, data: Mapping[str, Any]) -> None:
    row = view.row(data)
    row.done_bytes, row.total_bytes = int(data.get("done") or 0), int(data.get("total") or 0)
    row.step = row.steps = 0  # bytes come before a training, or after it


def _update_accepted(view: RunView, data: Mapping[str, Any]) -> None:
    row = view.row(data)
    row.state = ClientStatus.DONE
    row.step = row.steps = 0
    row.done_bytes = row.total_bytes = int(data.get("bytes") or 0)
    row.seconds = data.get("seconds_train", row.seconds)
    row.metrics = data.get("metrics") or row.metrics


def _update_refused(view: RunView, data: Mapping[str, Any]) -> None:
    row = view.row(data)
    row.state, row.note = TaskStatus.REFUSED, str(data.get("message") or data.get("reason") or "")


def _round_finished(view: RunView, data: Mapping[str, Any]) -> None:
    view.leave_round(data)
    view.last_seconds = data.get("seconds")
    view.metrics = data.get("metrics") or view.metrics


def _say(view: RunView, data: Mapping[str, Any]) -> None:
    view.message = str(data.get("message") or "")


def _best_model(view: RunView, data: Mapping[str, Any]) -> None:
    view.best = best_model(data)


def _component_failed(view: RunView, data: Mapping[str, Any]) -> None:
    what = f"{data.get('component')} failed at {data.get('event')}"
    view.message = f"{what}: {data.get('message')}"


def _nothing(_view: RunView, _data: Mapping[str, Any]) -> None:
    """It is said above the table, and changes nothing in it."""


def _run_ended(view: RunView, data: Mapping[str, Any]) -> None:
    view.status, view.message = str(data.get("status") or ""), ""
    for row in view.clients.values():
        if row.state in _AT_WORK:
            row.state = ClientStatus.IDLE


def _unreachable(view: RunView, data: Mapping[str, Any]) -> None:
    view.message = no_answer(data)


def _answers(view: RunView, _data: Mapping[str, Any]) -> None:
    view.message = ""


def _model_received(view: RunView, data: Mapping[str, Any]) -> None:
    view.enter_round(data)
    row = view.row(data)
    row.state, row.note = ClientStatus.TRAINING, ""


def _trained(view: RunView, data: Mapping[str, Any]) -> None:
    row = view.row(data)
    row.state = TaskStatus.UPLOADING
    row.seconds = data.get("seconds")
    row.metrics = data.get("metrics") or {}


def _submitted(view: RunView, data: Mapping[str, Any]) -> None:
    row = view.row(data)
    row.state = ClientStatus.DONE
    row.done_bytes = row.total_bytes = int(data.get("bytes") or 0)
    view.leave_round(data)


def _task_failed(view: RunView, data: Mapping[str, Any]) -> None:
    row = view.row(data)
    row.state, row.note = TaskStatus.FAILED, str(data.get("message") or data.get("reason") or "")


def _given_again(view: RunView, data: Mapping[str, Any]) -> None:
    row = view.row(data)
    row.state, row.note = ClientStatus.ASKED, "given its task again"


def _turn_passed(view: RunView, data: Mapping[str, Any]) -> None:
    row = view.row(data)
    row.state, row.note = ClientStatus.ASKED, f"has the turn of {data.get('before')}"


def _training(view: RunView, data: Mapping[str, Any]) -> None:
    view.row(data).state = ClientStatus.TRAINING


def _cross_site_started(view: RunView, data: Mapping[str, Any]) -> None:
    view.message = "cross-site validation"
    for client in data.get("participants", ()):
        view.row({"client": client}).state = ClientStatus.VALIDATING


def _cross_site_result(view: RunView, data: Mapping[str, Any]) -> None:
    row = view.row(data)
    row.note = str(data.get("reason") or f"validated the model of {data.get('owner')}")


def _standing(view: RunView, data: Mapping[str, Any]) -> None:
    if "client" in data:
        view.message = f"waits for orders from {data.get('target')}"
        return
    view.listen = str(data.get("listen") or "")
    view.message = f"administrators come in on {data.get('admin')}"


_FOLDS: Final[Mapping[Topic, Callable[[RunView, Mapping[str, Any]], None]]] = {
    Topic.LISTENING: _listening,
    Topic.STANDING: _standing,
    Topic.CLIENT_JOINED: _client_joined,
    Topic.CLIENT_BACK: _client_joined,
    Topic.CLIENT_LEFT: _client_left,
    Topic.CLIENT_REMOVED: _client_removed,
    Topic.MIN_CLIENTS: _nothing,
    Topic.TASK_GIVEN_AGAIN: _given_again,
    Topic.ASSIGNED: _nothing,
    Topic.TURN_PASSED: _turn_passed,
    Topic.CLIENT_STATE: _client_state,
    Topic.ROUND_STARTED: _round_started,
    Topic.MODEL_SENT: _nothing,
    Topic.CLIENT_PROGRESS: _client_progress,
    Topic.UPDATE_ACCEPTED: _update_accepted,
    Topic.UPDATE_REFUSED: _update_refused,
    Topic.ROUND_FINISHED: _round_finished,
    Topic.OUTLIER: _nothing,
    Topic.WAITING: _say,
    Topic.MODEL_LOST: _say,
    Topic.CROSS_SITE_STARTED: _cross_site_started,
    Topic.CROSS_SITE_MODEL: _nothing,
    Topic.CROSS_SITE_RESULT: _cross_site_result,
    Topic.BEST_MODEL: _best_model,
    Topic.COMPONENT_FAILED: _component_failed,
    Topic.SITE_DECLINED: _site_declined,
    Topic.LEFT_OUT: _nothing,
    Topic.RUN_ENDED: _run_ended,
    Topic.CONNECTING: _listening,
    Topic.UNREACHABLE: _unreachable,
    Topic.ANSWERS: _answers,
    Topic.PACKAGE_RECEIVED: _package_received,
    Topic.REGISTERED: _registered,
    Topic.MODEL_RECEIVED: _model_received,
    Topic.TRAINING: _training,
    Topic.TRAINED: _trained,
    Topic.TASK_FAILED: _task_failed,
    Topic.SUBMITTED: _submitted,
    Topic.REFUSED: _update_refused,
}
