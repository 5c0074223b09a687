# SPDX-License-Identifier: Apache-2.0
"""Whatever lies in a run's folder, there is a page, and it is one."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmar_runner.reporting.report import write_report
from mmar_runner.server.records.record import Kind
from tests.unit.reporting.pages import Page, check

KEYS = (
    *("round", "client", "metrics", "validation", "summary", "participants", "kept", "best"),
    *("reason", "message", "identity", "status", "wall_seconds", "component", "event", "score"),
    *("contributions", "num_samples", "weight", "bytes", "seconds", "rejected", "model_sha256"),
    *("mmar", "settings", "plugins", "run_number", "digest", "mmar_digest", "instead", "file"),
    *("seconds_train", "seconds_upload", "rounds", "peak_rss_bytes", "waiting_for", "num_rounds"),
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-2, 9)
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["a", "failed", "finished"])
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6)
    ),
    max_leaves=12,
)
CONTRIBUTION = st.fixed_dictionaries(
    {
        "client": st.sampled_from(["a", "b"]),
        **dict.fromkeys(
            ("num_samples", "weight", "bytes", "seconds_train", "seconds_upload"), SCALARS
        ),
    }
)
METRICS = st.dictionaries(st.sampled_from(["auc", "loss"]), SCALARS, max_size=2)
SUMMARY = st.fixed_dictionaries(
    {
        "round": st.integers(0, 5),
        "seconds": SCALARS,
        "contributions": st.lists(CONTRIBUTION, max_size=3),
        "rejected": st.just([]),
        "metrics": METRICS,
        "model_sha256": SCALARS,
    }
)
#: Events that are nearly right go deeper than those that are not.
NEARLY = st.one_of(
    st.tuples(st.just("round_closed"), st.fixed_dictionaries({"summary": SUMMARY})),
    st.tuples(
        st.just("round_opened"),
        st.fixed_dictionaries({"round": st.integers(0, 5), "participants": st.lists(SCALARS)}),
    ),
    st.tuples(
        st.just("update_accepted"),
        st.fixed_dictionaries({"client": SCALARS, "metrics": METRICS, "validation": METRICS}),
    ),
    st.tuples(
        st.just("checkpoint_lost"),
        st.fixed_dictionaries({"round": st.integers(0, 5), "kept": st.lists(SCALARS)}),
    ),
    st.tuples(
        st.just("best_model"), st.fixed_dictionaries({"round": st.integers(0, 5), "score": SCALARS})
    ),
    st.tuples(st.sampled_from([*map(str, Kind), "other"]), ANYTHING),
)


@settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.lists(NEARLY, max_size=12), ANYTHING, ANYTHING, ANYTHING)
def test_whatever_the_files_say(events, summary, status, results):
    page_of_anything(events, summary, status, results)


def test_a_summary_whose_rounds_are_none():
    page_of_anything([], {"rounds": True, "run_number": 1e300}, None, None)


def page_of_anything(events, summary, status, results):
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "run_1"
        (folder / "cross_site_validation").mkdir(parents=True)
        lines = [
            json.dumps({"seq": at, "time": 1.0 + at, "kind": kind, "data": data})
            for at, (kind, data) in enumerate(events, 1)
        ]
        (folder / "events.jsonl").write_text("\n".join(lines))
        (folder / "summary.json").write_text(json.dumps(summary))
        (folder / "status.json").write_text(json.dumps(status))
        (folder / "cross_site_validation" / "results.json").write_text(json.dumps(results))
        report = write_report(folder)
        check(Page(report.path))
        assert "there is no mmar/: what its MMAR said is not known" in report.notes
