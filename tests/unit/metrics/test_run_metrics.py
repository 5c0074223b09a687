# SPDX-License-Identifier: Apache-2.0
"""What is counted of observations: several runs, and words that only a peer knows."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from mmar_runner.interfaces.observer import NullObserver, Observation, Topic
from mmar_runner.metrics.catalog import METRICS, REASONS, MetricKind
from mmar_runner.metrics.registry import Registry
from mmar_runner.metrics.run_metrics import RunMetrics
from mmar_runner.server.calls.announcement import UNUSABLE_REASONS
from mmar_runner.testing.recorder import Recorder


def read(registry: Registry) -> dict[tuple[str, ...], float]:
    families = text_string_to_metric_families(registry.text().decode())
    samples = [sample for family in families for sample in family.samples]
    return {(one.name, *one.labels.values()): one.value for one in samples}


def told(metrics: RunMetrics, *observations: tuple[Topic, dict[str, object]]) -> None:
    observer = metrics.watching(NullObserver())
    for topic, data in observations:
        observer.observe(Observation(topic, data))


def test_reasons_of_a_peers_own_are_one_label() -> None:
    metrics = RunMetrics(Registry())
    size = len(metrics.registry.text())
    for number in range(1000):
        facts = {"client": f"site-{number}", "reason": f"MADE_UP_{number}"}
        told(metrics, (Topic.TASK_FAILED, facts), (Topic.CLIENT_LEFT, facts))
        told(metrics, (Topic.COMPONENT_FAILED, {"event": f"metrics {number}"}))
    seen = read(metrics.registry)
    assert seen["mmar_tasks_failed_total", "other"] == 1000
    assert seen["mmar_component_failures_total", "other"] == 1000
    assert len(metrics.registry.text()) < size + 100  # the numbers have more digits
    assert b"MADE_UP" not in metrics.registry.text()


def test_every_reason_of_a_refused_update_is_known() -> None:
    assert set(REASONS) >= UNUSABLE_REASONS
    metrics = RunMetrics(Registry())
    told(metrics, (Topic.UPDATE_REFUSED, {"client": "a", "reason": "SCHEMA"}))
    told(metrics, (Topic.TASK_FAILED, {"client": "a", "reason": "CHILD_DIED"}))
    seen = read(metrics.registry)
    assert seen["mmar_updates_refused_total", "SCHEMA"] == 1
    assert seen["mmar_tasks_failed_total", "CHILD_DIED"] == 1


def test_counters_go_on_with_the_next_run_and_gauges_begin_anew() -> None:
    metrics = RunMetrics(Registry())
    for number in (1, 2):
        told(
            metrics,
            (Topic.LISTENING, {"run_number": number}),
            (Topic.CLIENT_JOINED, {"client": "a"}),
            (Topic.CLIENT_JOINED, {"client": "b"}),
            (Topic.ROUND_STARTED, {"round": 0, "num_rounds": 1, "participants": ["a", "b"]}),
            (Topic.CLIENT_STATE, {"client": "b", "state": "validating"}),
            (Topic.UPDATE_ACCEPTED, {"client": "a", "bytes": 10, "wire_bytes": 7}),
        )
        seen = read(metrics.registry)
        states = [seen["mmar_clients", state] for state in ("idle", "training", "validating")]
        assert (states, seen["mmar_clients", "done"]) == ([0, 0, 1], 1)
        assert (seen["mmar_run_number",], seen["mmar_run_status", "running"]) == (number, 1)
        told(
            metrics,
            (Topic.ROUND_FINISHED, {"seconds": 2.0}),
            (Topic.RUN_ENDED, {"status": "finished"}),
        )
    seen = read(metrics.registry)
    assert seen["mmar_clients", "idle"] == 2
    assert seen["mmar_runs_ended_total", "finished"] == 2
    assert seen["mmar_update_received_bytes_total",] == 20
    assert seen["mmar_update_received_wire_bytes_total",] == 14
    assert (seen["mmar_run_status", "finished"], seen["mmar_run_status", "running"]) == (1, 0)
    assert seen["mmar_round_seconds_bucket", "5.0"] == 2
    assert seen["mmar_round_seconds_bucket", "1.0"] == 0


def test_whoever_watches_besides_sees_the_same() -> None:
    recorder = Recorder()
    metrics = RunMetrics(Registry())
    metrics.watching(recorder).observe(Observation(Topic.WAITING, {"message": "for clients"}))
    assert recorder.all(Topic.WAITING)


def test_every_metric_is_scraped_under_its_name_and_no_other() -> None:
    registry = Registry()
    scraped = {
        line.split()[2]: line.split()[3]
        for line in registry.text().decode().splitlines()
        if line.startswith("# TYPE")
    }
    assert scraped == {one.name: one.kind.value for one in METRICS}
    counters = [one.name for one in METRICS if one.kind is MetricKind.COUNTER]
    assert all(name.endswith("_total") for name in counters)
