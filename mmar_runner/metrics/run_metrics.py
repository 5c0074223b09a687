# SPDX-License-Identifier: Apache-2.0
"""Folds what a server observes of its runs into numbers; the runtime does not know of it.

One `RunMetrics` may see several runs, one after the other: its counters go on.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.federation.client_status import ClientStatus
from mmar_runner.federation.run_status import RunStatus
from mmar_runner.interfaces.observer import Topic
from mmar_runner.metrics.catalog import CLIENT_STATES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mmar_runner.interfaces.observer import Observation, Observer
    from mmar_runner.metrics.registry import Registry


class RunMetrics:
    """Sees observations, hands them on, and counts. Used from one thread.

    Args:
        registry: Gets the numbers.
    """

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self._clients: dict[str, ClientStatus] = {}

    def watching(self, observer: Observer) -> Observer:
        """Return an observer that counts what it sees and hands it on.

        Args:
            observer: Whoever watches the run besides.
        """
        return _Counted(self, observer)

    def see(self, observation: Observation) -> None:
        """Count one observation."""
        if (fold := _FOLDS.get(observation.topic)) is not None:
            fold(self, observation.data)

    def put(self, clients: Mapping[str, ClientStatus]) -> None:
        """Note what clients are at, each by its name."""
        self._clients.update(clients)
        self._show_clients()

    def drop(self, name: str) -> None:
        """Forget a client that is not there any longer."""
        self._clients.pop(name, None)
        self._show_clients()

    def begin(self) -> None:
        """Know of no clients: another run begins."""
        self._clients.clear()
        self._show_clients()

    def idle(self) -> None:
        """Note that nobody has work: a round is over."""
        self.put(dict.fromkeys(self._clients, ClientStatus.IDLE))

    def show_status(self, status: str) -> None:
        """Say what the run is."""
        for one in RunStatus:
            self.registry.gauge("mmar_run_status", status=one.value).set(one == status)

    def _show_clients(self) -> None:
        found = Counter(self._clients.values())
        for state in CLIENT_STATES:
            self.registry.gauge("mmar_clients", state=state.value).set(found[state])


class _Counted:
    def __init__(self, metrics: RunMetrics, observer: Observer) -> None:
        self._metrics = metrics
        self._observer = observer

    def observe(self, observation: Observation) -> None:
        self._metrics.see(observation)
        self._observer.observe(observation)


def _listening(metrics: RunMetrics, data: Mapping[str, Any]) -> None:
    metrics.begin()
    metrics.show_status(data.get("ended") or RunStatus.RUNNING)
    metrics.registry.gauge("mmar_run_number").set(data.get("run_number") or 0)


def _standing(metrics: RunMetrics, _data: Mapping[str, Any]) -> None:
    metrics.begin()


def _joined(metrics: RunMetrics, data: Mapping[str, Any]) -> None:
    metrics.registry.count("mmar_clients_joined_total")
    metrics.put({data["client"]: ClientStatus.IDLE})


def _left(metrics: RunMetrics, data: Mapping[str, Any]) -> None:
    metrics.registry.count("mmar_clients_left_total")
    metrics.drop(data["client"])


def _state(metrics: RunMetrics, data: Mapping[str, Any]) -> None:
    said = ClientStatus(data["state"])
    metrics.put({data["client"]: said if said in CLIENT_STATES else ClientStatus.IDLE})


def _round_started(metrics: RunMetrics, data: Mapping[str, Any]) -> None:
    metrics.registry.gauge("mmar_round").set(data["round"])
    metrics.registry.gauge("mmar_rounds_planned").set(data["num_rounds"])
    metrics.put(dict.fromkeys(data["participants"], ClientStatus.TRAINING))


def _round_finished(metrics: RunMetrics, data: Mapping[str, Any]) -> None:
    metrics.registry.count("mmar_rounds_finished_total")
    metrics.registry.observe("mmar_round_seconds", data["seconds"])
    metrics.idle()


def _model_sent(metrics: RunMetrics, data: Mapping[str, Any]) -> None:
    metrics.registry.count("mmar_model_sent_bytes_total", data["bytes"])
    metrics.registry.count("mmar_model_sent_wire_bytes_total", data["wire_bytes"])


def _accepted(metrics: RunMetrics, data: Mapping[str, Any]) -> None:
    metrics.registry.count("mmar_updates_accepted_total")
    metrics.registry.count("mmar_update_received_bytes_total", data["bytes"])
    metrics.registry.count("mmar_update_received_wire_bytes_total", data["wire_bytes"])
    metrics.put({data["client"]: ClientStatus.DONE})


def _refused(metrics: RunMetrics, data: Mapping[str, Any]) -> None:
    metrics.registry.count("mmar_updates_refused_total", reason=data["reason"])
    metrics.put({data["client"]: ClientStatus.IDLE})


def _task_failed(metrics: RunMetrics, data: Mapping[str, Any]) -> None:
    metrics.registry.count("mmar_tasks_failed_total", reason=data["reason"])
    metrics.put({data["client"]: ClientStatus.IDLE})


def _component_failed(metrics: RunMetrics, data: Mapping[str, Any]) -> None:
    metrics.registry.count("mmar_component_failures_total", event=str(data.get("event")))


def _model_lost(metrics: RunMetrics, _data: Mapping[str, Any]) -> None:
    metrics.registry.count("mmar_models_lost_total")


def _ended(metrics: RunMetrics, data: Mapping[str, Any]) -> None:
    metrics.show_status(data["status"])
    metrics.registry.count("mmar_runs_ended_total", status=data["status"])
    metrics.idle()


_FOLDS: Final[Mapping[Topic, Callable[[RunMetrics, Mapping[str, Any]], None]]] = {
    Topic.STANDING: _standing,
    Topic.LISTENING: _listening,
    Topic.CLIENT_JOINED: _joined,
    Topic.CLIENT_BACK: _joined,
    Topic.CLIENT_LEFT: _left,
    Topic.CLIENT_STATE: _state,
    Topic.ROUND_STARTED: _round_started,
    Topic.ROUND_FINISHED: _round_finished,
    Topic.MODEL_SENT: _model_sent,
    Topic.UPDATE_ACCEPTED: _accepted,
    Topic.UPDATE_REFUSED: _refused,
    Topic.TASK_FAILED: _task_failed,
    Topic.COMPONENT_FAILED: _component_failed,
    Topic.MODEL_LOST: _model_lost,
    Topic.RUN_ENDED: _ended,
}
