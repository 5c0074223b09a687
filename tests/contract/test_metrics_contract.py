# SPDX-License-Identifier: Apache-2.0
from mmar_runner.testing.contracts import HandlerContract, ResultProcessorContract
from mmar_runner_metrics.processor import MetricsProcessor
from mmar_runner_metrics.selector import MetricSelector


class TestMetricsProcessor(ResultProcessorContract):
    malformed = (
        {},
        {"round": "1"},
        {"round": True},
        {"round": 1, "train": [0.5]},
        {"round": 1, "train": {"loss": "0.5"}},
        {"round": 1, "train": {"loss": None}},
        {"round": 1, "validation": {"two\nlines": 1.0}},
        {"round": 1, "num_samples": "many"},
    )

    def make(self):
        return MetricsProcessor()

    def sample(self):
        return "metrics", {"round": 2, "train": {"loss": 0.5}, "validation": {"val_auc": 0.9}}


class TestMetricsProcessorWithoutTensorBoard(TestMetricsProcessor):
    def make(self):
        return MetricsProcessor(tensorboard=False)


class TestMetricSelector(HandlerContract):
    def make(self):
        return MetricSelector()


class TestMetricSelectorOfALoss(HandlerContract):
    def make(self):
        return MetricSelector("val_loss", higher_is_better=False)
