# SPDX-License-Identifier: Apache-2.0
from mmar_runner.testing.contracts import ResultProcessorContract
from mmar_runner_cross_site_validation.processor import ValidateResultProcessor

PAIR = {"data_client": "site-1", "model_owner": "FL_global_model"}


class TestValidateResultProcessor(ResultProcessorContract):
    malformed = (
        {},
        PAIR,
        {**PAIR, "metrics": [0.5]},
        {**PAIR, "metrics": {"val_auc": "0.5"}},
        {**PAIR, "metrics": {"val_auc": True}},
        {**PAIR, "metrics": {"val_auc": float("nan")}},
        {**PAIR, "metrics": {"two\nlines": 1.0}},
        {**PAIR, "model_owner": "", "metrics": {}},
        {**PAIR, "metrics": {}, "reason": "two\nlines"},
    )

    def make(self):
        return ValidateResultProcessor()

    def sample(self):
        return "cross_site_validation", {**PAIR, "metrics": {"val_auc": 0.9, "val_loss": 0.5}}


class TestValidateResultProcessorOfWhatWasNotValidated(TestValidateResultProcessor):
    def sample(self):
        return "cross_site_validation", {**PAIR, "metrics": {}, "reason": "TASK_FAILED: x"}
