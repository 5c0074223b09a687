# SPDX-License-Identifier: Apache-2.0
"""A run of 2,000 rounds with 200 sites gives a page that can be sent, while somebody waits."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from mmar_runner.reporting.report import write_report
from tests.unit.reporting.pages import Page, check
from tests.unit.reporting.written_runs import long_run

ROUNDS, SITES = 2_000, 200


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_thousand_rounds_and_two_hundred_sites(tmp_path):
    # 200 MB that should not lie there until the test's folder goes.
    with TemporaryDirectory() as place:
        workspace = Path(place)
        long_run(workspace / "run_1", ROUNDS, SITES)
        # Of this process alone: what else the machine does is not the page's fault.
        before = time.process_time()
        report = write_report(workspace, tmp_path / "page.html")
        seconds = time.process_time() - before
    assert (report.rounds, report.sites) == (ROUNDS, SITES)
    assert report.bytes <= 5_000_000
    assert seconds <= 10
    page = Page(report.path)
    check(page)
    assert "400,000" in page.text
    assert "one round in 4" in page.text
