# SPDX-License-Identifier: Apache-2.0
"""The matrix as a table."""

from __future__ import annotations

from mmar_runner.interfaces.result_processor import ResultContext
from mmar_runner_cross_site_validation.processor import ValidateResultProcessor


def test_a_line_for_every_metric_and_one_for_what_was_not_validated(tmp_path):
    context = ResultContext("site-1", 3, tmp_path)
    processor = ValidateResultProcessor()
    for owner, metrics, reason in (
        ("site-2", {"val_loss": -0.25, "val_auc": 1}, ""),
        ("=site-3", {}, "TASK_FAILED: it raised"),
    ):
        result = {"data_client": "site-1", "model_owner": owner, "metrics": metrics}
        processor.process("cross_site_validation", {**result, "reason": reason}, context)

    assert (tmp_path / "cross_site_validation" / "matrix.csv").read_text().splitlines() == [
        "run,data_client,model_owner,metric,value,reason",
        "3,site-1,site-2,val_auc,1.0,",
        "3,site-1,site-2,val_loss,-0.25,",
        "3,site-1,'=site-3,,,TASK_FAILED: it raised",
    ]
