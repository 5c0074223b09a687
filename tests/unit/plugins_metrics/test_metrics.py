# SPDX-License-Identifier: Apache-2.0
import csv
import logging

import pytest

from mmar_runner.errors import RefusedError
from mmar_runner.hooks import load_plugins
from mmar_runner.hooks.components import build_component
from mmar_runner.interfaces.handler import BestModelSelector
from mmar_runner.interfaces.result_processor import ResultContext
from mmar_runner_metrics.processor import MetricsProcessor
from mmar_runner_metrics.selector import MetricSelector

RESULT = {
    "round": 1,
    "train": {"loss": 0.5, 'odd, "name"': 1},
    "validation": {"val_auc": 0.75},
    "num_samples": 62,
}


@pytest.fixture
def context(tmp_path):
    return ResultContext("site-1", 3, tmp_path)


def table(context):
    with (context.run_folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


class TestCsv:
    def test_has_a_line_per_measurement(self, context):
        reply = MetricsProcessor(tensorboard=False).process("metrics", RESULT, context)
        assert reply == {"recorded": 4, "duplicates": 0}
        first, odd, *_, last = table(context)
        assert first == {
            "run": "3",
            "round": "1",
            "client": "site-1",
            "phase": "train",
            "metric": "loss",
            "value": "0.5",
        }
        assert odd["metric"] == 'odd, "name"'
        assert (last["metric"], last["value"]) == ("num_samples", "62.0")

    def test_lines_end_as_the_standard_says(self, context):
        MetricsProcessor(tensorboard=False).process("metrics", RESULT, context)
        content = (context.run_folder / "metrics.csv").read_bytes()
        assert content.count(b"\r\n") == content.count(b"\n") == 5
        assert content.startswith(b"run,round,client,phase,metric,value\r\n")

    def test_the_first_value_of_a_measurement_stays(self, context):
        processor = MetricsProcessor(tensorboard=False)
        processor.process("metrics", RESULT, context)
        changed = {**RESULT, "train": {"loss": 9.0, "new": 1.0}}
        assert processor.process("metrics", changed, context) == {"recorded": 1, "duplicates": 3}
        assert [r["value"] for r in table(context) if r["metric"] == "loss"] == ["0.5"]

    def test_half_a_line_of_a_dead_process_is_cut_off(self, context):
        MetricsProcessor(tensorboard=False).process("metrics", RESULT, context)
        path = context.run_folder / "metrics.csv"
        whole = path.read_bytes()
        path.write_bytes(whole[:-3])
        reply = MetricsProcessor(tensorboard=False).process("metrics", RESULT, context)
        assert reply == {"recorded": 1, "duplicates": 3}
        assert path.read_bytes() == whole

    @pytest.mark.parametrize("left", [b"", b"run,rou"])
    def test_a_torn_head_is_written_again(self, context, left):
        (context.run_folder / "metrics.csv").write_bytes(left)
        MetricsProcessor(tensorboard=False).process("metrics", RESULT, context)
        assert len(table(context)) == 4

    def test_a_number_keeps_its_digits(self, context):
        value = 0.1 + 0.2
        result = {"round": 0, "train": {"loss": value}}
        MetricsProcessor(tensorboard=False).process("metrics", result, context)
        assert float(table(context)[0]["value"]) == value


class TestTensorBoard:
    def test_can_be_read_by_tensorboard(self, context):
        event_accumulator = pytest.importorskip(
            "tensorboard.backend.event_processing.event_accumulator"
        )
        processor = MetricsProcessor()
        for number in (0, 1, 1):
            processor.process("metrics", {**RESULT, "round": number}, context)
        processor.close()
        folder = context.run_folder / "tensorboard" / "site-1"
        read = event_accumulator.EventAccumulator(str(folder))
        read.Reload()
        assert "validation/val_auc" in read.Tags()["scalars"]
        points = [(e.step, e.value) for e in read.Scalars("train/loss")]
        assert points == [(0, 0.5), (1, 0.5)]

    def test_can_be_left_out(self, context):
        MetricsProcessor(tensorboard=False).process("metrics", RESULT, context)
        assert not (context.run_folder / "tensorboard").exists()

    def test_is_optional_unless_it_is_required(self, context, monkeypatch):
        monkeypatch.setattr("mmar_runner_metrics.processor.is_installed", lambda: False)
        MetricsProcessor().process("metrics", RESULT, context)
        assert not (context.run_folder / "tensorboard").exists()
        with pytest.raises(ImportError, match="pip install tensorboard"):
            MetricsProcessor(tensorboard=True)


@pytest.mark.parametrize("client", ["..", "a/b", "a\\b", "", "a\nb"])
def test_a_client_whose_name_is_no_file_name(tmp_path, client):
    context = ResultContext(client, 1, tmp_path / "run_1")
    with pytest.raises(RefusedError):
        MetricsProcessor().process("metrics", RESULT, context)
    assert not list(tmp_path.iterdir())


class TestSelector:
    def test_takes_the_metric_it_was_given(self):
        metrics = {"val_accuracy": 0.2, "val_auc": 0.7}
        assert MetricSelector("val_auc").score(metrics) == 0.7

    def test_turns_a_loss_around(self):
        made = MetricSelector("val_loss", higher_is_better=False)
        assert made.score({"val_loss": 0.5}) > made.score({"val_loss": 0.6})

    def test_takes_the_first_that_is_no_loss(self):
        assert MetricSelector().score({"a_loss": 9.0, "val_auc": 0.7, "b": 0.1}) == 0.1
        assert MetricSelector().score({"a_loss": 9.0}) is None

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_what_is_not_finite_has_no_score(self, value):
        assert MetricSelector("m").score({"m": value}) is None

    def test_a_wrong_name_is_said_once(self, caplog):
        made = MetricSelector("val_auk")
        with caplog.at_level(logging.WARNING):
            assert [made.score({"val_auc": 1.0}) for _ in range(3)] == [None] * 3
            assert made.score({}) is None
        (record,) = caplog.records
        assert "val_auk" in record.getMessage()
        assert "val_auc" in record.getMessage()

    @pytest.mark.parametrize(
        "declaration",
        [
            {"name": "IntimeModelSelectionHandler"},
            {"name": "IntimeModelSelector"},
            {
                "path": "nvflare.components.handlers.intime_model_selection_handler"
                ".IntimeModelSelectionHandler",
                "args": {},
            },
        ],
    )
    def test_older_names_mean_it(self, declaration):
        catalog = load_plugins(allow=["mmar-runner-metrics"]).registry
        assert build_component(catalog, "handler", declaration, BestModelSelector)
