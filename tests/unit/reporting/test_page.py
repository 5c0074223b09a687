# SPDX-License-Identifier: Apache-2.0
"""The page itself: what it shows, and that it obeys nobody whose words are on it."""

from __future__ import annotations

import json
import re
import shutil
import sys

import pytest

from mmar_runner.errors import ReportError, StorageError
from mmar_runner.reporting import rendering
from mmar_runner.reporting.report import write_report
from tests.unit.reporting.pages import Page, check
from tests.unit.reporting.written_runs import long_run, troubled_run, written

SITES = ("site-1", "site-2", "site-3")
#: What a site, a metric or a message may try to be.
EVIL = (
    "</title></svg><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 7 }}{% raw %}",
    "]]><!--<style>*{display:none}</style>",
    "\u202egnp.exe\u2066\u200b\x00\x1b[31m\n\r\ud800",
    "javascript:alert(1)//" + "A" * 5_000,
)


def page_of(folder):
    page = Page(write_report(folder).path)
    check(page)
    return page


def finished(folder, sites=SITES, rounds=3):
    with written(folder) as run:
        run.start()
        run.register(*sites)
        for number in range(rounds):
            run.round(number, sites)
        run.end()


def test_a_finished_run(tmp_path):
    finished(tmp_path / "run_1")
    text = page_of(tmp_path).text
    assert "3 sites trained one model together in 3 rounds. The run finished after 12.5 s." in text
    assert "val_auc" in text
    assert "site-1, round 2: 0.8" in text
    assert "Versions behind" not in text
    assert "Best score 0.8 val_auc, the result of round 1" in text
    assert "33.3%" in text
    assert "Every update counted" in text
    assert "There are no results of cross-site validation" in text
    assert "carries no signature" in text
    assert "--set NUM_ROUNDS 4" in text
    assert "Aggregator FedAvg" in text
    assert "cd" * 32 in text


def test_how_old_the_models_were_is_told_where_nobody_waits(tmp_path):
    with written(tmp_path / "run_1") as run:
        run.start()
        run.register(*SITES)
        for number in range(3):
            run.open(number, SITES)
            updates = [run.update(number, name) for name in SITES]
            updates[0]["staleness"] = 2 * number
            run.close_round(number, updates)
        run.end()
    text = page_of(tmp_path / "run_1").text
    assert "Did not count Versions behind Most versions behind" in text
    assert re.search(r"site-1 3 of 3 10 33\.3% .{,60} 0 2 4 site-2 3 of 3 .{,70} 0 0 0 ", text)


def test_what_the_aggregator_says_is_a_line(tmp_path):
    with written(tmp_path / "run_1") as run:
        run.start()
        run.register(*SITES)
        said = {"chosen": ["site-1", EVIL[0]], "noise": ["7" * 900]}
        for number in range(2):
            run.open(number, SITES)
            updates = [run.update(number, name) for name in SITES]
            run.close_round(number, updates, aggregation=said if number else {})
        run.end()
    text = page_of(tmp_path).text
    assert "What the aggregator says of its rounds" in text
    assert 'chosen: ["site-1", "</title>' in text
    assert "777 ..." in text


def test_a_run_in_which_everything_happened(tmp_path):
    troubled_run(tmp_path / "run_1")
    text = page_of(tmp_path).text
    assert "The run failed after 12.5 s. Why: round 2 needs 3 updates" in text
    assert "CUDA out of memory" in text
    assert "NON_FINITE" in text
    assert "the handler Mail" in text
    assert "round_0002.safetensors" in text
    assert "start-up kits: TLS" in text
    assert "Every model on every site's data" in text
    assert "Charité" in text


@pytest.mark.parametrize(
    ("status", "words"),
    [("stopped", "was stopped after 12.5 s and can be resumed"), ("failed", "The run failed")],
)
def test_a_run_that_did_nothing(tmp_path, status, words):
    with written(tmp_path / "run_1") as run:
        run.start()
        run.end(status, "nobody came")
    text = page_of(tmp_path).text
    assert words in text
    assert "nobody came" in text
    for empty in ("No round is finished.", "No site has contributed yet.", "has a metric."):
        assert empty in text


def test_a_run_that_goes_on(tmp_path):
    with written(tmp_path / "run_1") as run:
        run.start()
        run.register(*SITES)
        run.round(0, SITES)
        run.open(1, SITES)
        run.update(1, "site-2")
        run.flush()
        status = {"waiting_for": "round 1: 1 of 3 updates", "num_rounds": 9}
        (run.folder / "status.json").write_text(json.dumps(status))
        # The journal is open, as a server has it.
        text = page_of(tmp_path).text
    assert "It is not finished: this is how it stood at 2026-11-28" in text
    assert "Round 1 is under way, with 1 of 3 updates. It waits: round 1: 1 of 3 updates." in text
    assert "of 9 planned" in text


@pytest.mark.parametrize("evil", EVIL, ids=range(len(EVIL)))
def test_what_others_wrote_is_shown_and_not_obeyed(tmp_path, evil):
    folder = tmp_path / "run_1"
    names = [evil, f"{evil}2"]
    with written(folder) as run:
        settings = {evil: evil}
        identity = {"mmar": evil, "settings": settings, "plugins": {evil: evil}}
        run.start(evil, identity=identity, digest=evil)
        run.register(*names, host=evil)
        run.round(0, names, metrics={evil: 1.0}, validation={f"val{evil}": 0.5})
        run.round(1, names, metrics={evil: 2.0}, validation={f"val{evil}": 0.6})
        why = {"reason": evil, "message": evil}
        run.add("update_refused", client=evil, round=1, **why)
        run.add("task_failed", client=names[1], round=1, **why)
        run.add("component_failed", component=evil, event=evil, round=1, message=evil)
        run.add("best_model", round=1, score=0.6)
        run.end("failed", evil)
    (folder / "cross_site_validation").mkdir()
    cells = {evil: {evil: {evil: 0.5}}}
    (folder / "cross_site_validation" / "results.json").write_text(json.dumps(cells))
    (folder / "status.json").write_text(json.dumps({"waiting_for": evil}))
    page = page_of(tmp_path)
    # As many elements of each name as for harmless words: nothing has become markup.
    plain = tmp_path / "plain" / "run_1"
    with written(plain) as run:
        run.start("a", identity={"mmar": "a", "settings": {"a": "a"}, "plugins": {"a": "a"}})
        names = ["a", "a2"]
        run.register(*names, host="a")
        run.round(0, names, metrics={"a": 1.0}, validation={"vala": 0.5})
        run.round(1, names, metrics={"a": 2.0}, validation={"vala": 0.6})
        run.add("update_refused", client="a", round=1, reason="a", message="a")
        run.add("task_failed", client="a2", round=1, reason="a", message="a")
        run.add("component_failed", component="a", event="a", round=1, message="a")
        run.add("best_model", round=1, score=0.6)
        run.end("failed", "a")
    shutil.copytree(folder / "cross_site_validation", plain / "cross_site_validation")
    shutil.copy(folder / "status.json", plain / "status.json")
    assert [n for n, _ in page.elements] == [n for n, _ in page_of(plain.parent).elements]
    hidden = [c for c in page.source if not c.isprintable() and c != "\n"]
    assert not hidden
    assert len(page.source) < 500_000


def test_secrets_in_an_mmar_are_not_sent_around(tmp_path):
    finished(tmp_path / "run_1")
    path = tmp_path / "run_1" / "mmar" / "config" / "config_fed_client.json"
    client = json.loads(path.read_text())
    client["client_trainer"]["args"] = {"db_password": "hunter2", "note": "{DB_TOKEN}"}
    path.chmod(0o644)
    path.write_text(json.dumps(client))
    page = page_of(tmp_path)
    assert "hunter2" not in page.source
    assert "(hidden)" in page.text


@pytest.mark.parametrize("sites", [1, 8, 9, 40, 41])
def test_any_number_of_sites_is_drawn(tmp_path, sites):
    finished(tmp_path / "run_1", [f"site-{at}" for at in range(sites)], rounds=2)
    page = page_of(tmp_path)
    lines = [a for a in page.named("path") if str(a.get("class")).startswith("line")]
    areas = [a for a in page.named("path") if str(a.get("class")).startswith("band")]
    assert bool(areas) == (sites > 40)
    assert len(lines) >= (2 * sites if sites <= 40 else 2)


@pytest.mark.parametrize("sites", [2, 50])
def test_a_metric_that_only_sites_know_is_drawn(tmp_path, sites):
    names = [f"site-{at}" for at in range(sites)]
    with written(tmp_path / "run_1") as run:
        run.start()
        run.open(0, names)
        run.close_round(0, [run.update(0, name) for name in names], metrics={})
    assert "No average of it is on record." in page_of(tmp_path).text


def test_numbers_beyond_all_measure_are_drawn(tmp_path):
    with written(tmp_path / "run_1") as run:
        run.start()
        for number, value in enumerate((1.7e308, -1.7e308, 0.0, 5e-324)):
            facts = {"metrics": {"loss": value}, "num_samples": value, "seconds_train": value}
            run.open(number, ["a"])
            run.close_round(number, [run.update(number, "a", **facts)], seconds=abs(value))
        run.end()
    for a in page_of(tmp_path).named("path", "rect", "circle", "text"):
        assert "nan" not in str(a).lower()
        assert "inf" not in str(a).lower()


def test_damaged_files_are_named_on_the_page(tmp_path):
    finished(tmp_path / "run_1")
    (tmp_path / "run_1" / "status.json").write_text("{")
    (tmp_path / "audit.jsonl").write_text('{"seq": 1}\n')
    shutil.rmtree(tmp_path / "run_1" / "mmar")
    report = write_report(tmp_path)
    text = Page(report.path).text
    for words in ("status.json could not be read", "there is no mmar/", "audit log is not sound"):
        assert any(words in note for note in report.notes)
        assert words in text


def test_a_page_is_replaced_as_a_whole_and_may_lie_elsewhere(tmp_path):
    finished(tmp_path / "run_1")
    out = tmp_path / "elsewhere.html"
    out.write_text("old")
    report = write_report(tmp_path / "run_1", out)
    assert report.path == out
    assert out.stat().st_size == report.bytes
    assert not (tmp_path / "run_1" / "report.html").exists()
    assert not list(tmp_path.glob(".*tmp"))


@pytest.mark.parametrize("name", ["", "no/such/folder.html"])
def test_a_page_that_cannot_be_written_says_where_it_could(tmp_path, name):
    finished(tmp_path / "run_1")
    with pytest.raises(StorageError) as caught:
        write_report(tmp_path, tmp_path / "run_1" / name)
    assert caught.value.exit_code == 1
    assert caught.value.hint == "--out FILE writes the page elsewhere"
    assert not list(tmp_path.rglob(".*tmp"))


def test_without_jinja2_the_mend_is_named(tmp_path, monkeypatch):
    finished(tmp_path / "run_1")
    monkeypatch.setitem(sys.modules, "jinja2", None)
    rendering._environment.cache_clear()
    with pytest.raises(ReportError) as caught:
        write_report(tmp_path)
    rendering._environment.cache_clear()
    assert caught.value.reason == "REPORT_NEEDS_JINJA2"
    assert caught.value.hint == "pip install 'mmar-runner[report]'"


def test_a_long_run_is_thinned(tmp_path):
    long_run(tmp_path / "run_1", rounds=400, sites=50)
    page = page_of(tmp_path)
    assert len(page.source) < 1_000_000
    assert "half of 50 sites" in page.text
    assert "Each column is 10 rounds together." in page.text
    assert page.named("details")
