# SPDX-License-Identifier: Apache-2.0
import csv
import logging
import math
from dataclasses import replace

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

    @pytest.mark.parametrize(
        ("args", "weights"),
        [
            ({}, [30.0, 10.0]),
            ({"weigh_by_local_iter": False}, [1.0, 1.0]),
            ({"aggregation_weights": {"site-2": 0.5}}, [30.0, 5.0]),
            ({"weigh_by_local_iter": False, "aggregation_weights": {"site-1": 0}}, [0.0, 1.0]),
        ],
    )
    def test_clients_count_by_samples_or_alike_times_their_factor(self, args, weights):
        made = MetricSelector(**args)
        assert [made.weight("site-1", 30.0), made.weight("site-2", 10.0)] == weights

    def test_a_wrong_name_is_said_once(self, caplog):
        made = MetricSelector("val_auk")
        with caplog.at_level(logging.WARNING):
            assert [made.score({"val_auc": 1.0}) for _ in range(3)] == [None] * 3
            assert made.score({}) is None
        (record,) = caplog.records
        assert "val_auk" in record.getMessage()
        assert "val_auc" in record.getMessage()
        assert "defined on what the sites hold out" in record.getMessage()

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


class TestWhatASiteMaySend:
    """Results come from sites: nothing in them may grow without end, or break the table."""

    def refused(self, result, context):
        with pytest.raises(RefusedError) as error:
            MetricsProcessor(tensorboard=False).process("metrics", result, context)
        assert error.value.reason == "PROTOCOL"
        assert len(error.value.message) < 400
        assert not (context.run_folder / "metrics.csv").exists()

    @pytest.mark.parametrize("number", [-1, 5, 2**70, -(2**70), 10**4000], ids=lambda n: n % 997)
    def test_a_round_that_has_not_been_is_refused(self, context, number):
        self.refused({"round": number, "train": {"loss": 1.0}}, replace(context, newest_round=4))

    def test_a_round_that_cannot_be_written_down_is_refused(self, context):
        self.refused({"round": 2**31, "train": {"loss": 1.0}}, context)

    @pytest.mark.parametrize(
        "metrics",
        [
            {"x" * 129: 1.0},
            {"": 1.0},
            {"a\nb": 1.0},
            {"\ud800": 1.0},
            {f"m{i}": 1.0 for i in range(257)},
        ],
        ids=["long", "empty", "lines", "surrogate", "many"],
    )
    @pytest.mark.parametrize("phase", ["train", "validation"])
    def test_names_are_those_that_updates_may_have(self, context, phase, metrics):
        self.refused({"round": 0, phase: metrics}, context)

    def test_a_value_that_is_not_finite_is_left_out(self, context):
        values = {"nan": math.nan, "inf": math.inf, "loss": 1.0}
        MetricsProcessor(tensorboard=False).process(
            "metrics", {"round": 0, "train": values}, context
        )
        assert [row["metric"] for row in table(context)] == ["loss"]

    @pytest.mark.parametrize("name", ["=cmd|x", "+1", "-1", "@x", "'=x", "plain", "'"])
    def test_no_spreadsheet_reads_a_name_as_a_formula(self, context, name):
        result = {"round": 0, "train": {name: -1.0}}
        MetricsProcessor(tensorboard=False).process("metrics", result, context)
        again = MetricsProcessor(tensorboard=False).process("metrics", result, context)
        assert again == {"recorded": 0, "duplicates": 1}
        (row,) = table(context)
        assert row["metric"] == (name if name == "plain" else f"'{name}")
        assert row["value"] == "-1.0"

    def test_a_line_that_is_too_long_keeps_nobody_out(self, context):
        """As an older version took it."""
        MetricsProcessor(tensorboard=False).process("metrics", RESULT, context)
        with (context.run_folder / "metrics.csv").open("ab") as file:
            file.write(b"3,1,site-2,train,%b,1.0\r\n" % (b"x" * 140_000))
        processor = MetricsProcessor(tensorboard=False)
        assert processor.process("metrics", RESULT, context) == {"recorded": 0, "duplicates": 4}
        later = {"round": 2, "train": {"loss": 0.25}}
        assert processor.process("metrics", later, context) == {"recorded": 1, "duplicates": 0}

    def test_half_a_line_of_any_length_is_cut_off(self, context):
        MetricsProcessor(tensorboard=False).process("metrics", RESULT, context)
        path = context.run_folder / "metrics.csv"
        whole = path.read_bytes()
        for rest in (b"3", b"x" * (16 * 1024 - 1), b"x" * (16 * 1024), b"x" * 100_000, b"\r"):
            path.write_bytes(whole + rest)
            MetricsProcessor(tensorboard=False).process("metrics", RESULT, context)
            assert path.read_bytes() == whole

    def test_only_the_newest_round_is_kept_in_memory(self, context):
        processor = MetricsProcessor(tensorboard=False)
        results = [{"round": number, "train": {"loss": 0.5}} for number in range(50)]
        for result in results:
            processor.process("metrics", result, context)
        (file,) = processor._tables.values()
        assert sum(len(newest.measured) for newest in file._newest.values()) == 1
        for result in results:  # what is not in memory is in the file
            assert processor.process("metrics", result, context)["recorded"] == 0
        older = {"round": 7, "train": {"loss": 0.5, "more": 1.0}}
        assert processor.process("metrics", older, context) == {"recorded": 1, "duplicates": 1}
        assert processor.process("metrics", older, context) == {"recorded": 0, "duplicates": 2}
