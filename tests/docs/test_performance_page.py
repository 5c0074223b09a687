# SPDX-License-Identifier: Apache-2.0
"""The bounds of the benchmarks: how they judge, and that the pages show every one."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def scripts(monkeypatch):
    """The modules `cases`, `scale`, `musts` and `page` of benchmarks/, which is no package."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import cases
    import musts
    import page
    import scale

    yield {"bench": cases.CASES, "bench-scale": scale.CASES}, musts, page
    folder = str(ROOT / "benchmarks")
    for name in set(sys.modules) - before:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(folder):
            del sys.modules[name]


def must(musts, **differences):
    values = {"row": "a", "cases": ("c",), "field": "f", "must": 3, "aim": 2, "unit": "x"}
    return musts.Must(**{**values, **differences})


@pytest.mark.parametrize("name", ["BENCH", "BENCH_SCALE"])
def test_the_page_shows_every_bound(scripts, name):
    _, _, page = scripts
    sheet = getattr(page, name)
    _, begin, rest = sheet.page.read_text().partition(sheet.begin)
    table, end, _ = rest.partition(sheet.end)
    assert begin
    assert end
    rows = [line.split(" | ") for line in table.splitlines() if line.startswith("| ")][1:]
    assert [row[0].removeprefix("| ") for row in rows] == [one.row for one in sheet.musts]
    for row, one in zip(rows, sheet.musts, strict=True):
        assert row[3] == one.bound(one.must)
        assert row[2], "a figure, or that it was not measured"
        assert (row[2] == page.NOT_MEASURED) == (row[4] == "-")


@pytest.mark.parametrize("name", ["BENCH", "BENCH_SCALE"])
def test_every_bound_stands_on_cases_that_there_are(scripts, name):
    cases, _, page = scripts
    sheet = getattr(page, name)
    assert set(cases[sheet.goal]) >= sheet.judged


@pytest.mark.parametrize(
    ("least", "seen", "kept"), [(False, 3, True), (False, 3.1, False), (True, 2.9, False)]
)
def test_a_bound_is_kept_up_to_itself(scripts, least, seen, kept):
    _, musts, page = scripts
    one = must(musts, least=least)
    assert one.reached(one.seen({"c": {"f": seen}}), one.must) is kept
    assert page.BENCH.missed({"c": {"f": seen}}) == [], (
        "bounds that were not measured are not missed"
    )


def test_the_worst_of_several_cases_counts(scripts):
    _, musts, _ = scripts
    figures = {"c": {"f": {"g": 1}}, "d": {"f": {"g": 5}}}
    assert must(musts, cases=("c", "d"), field="f.g").seen(figures) == 5
    assert must(musts, cases=("c", "d"), field="f.g", least=True).seen(figures) == 1
    assert must(musts, cases=("c", "d", "e"), field="f.g").seen(figures) is None


def test_a_figure_beside_another_is_their_difference(scripts):
    _, musts, _ = scripts
    one = must(musts, beside="d", unit="%")
    assert one.seen({"c": {"f": 90}, "d": {"f": 100}}) == pytest.approx(10)
    assert one.seen({"c": {"f": 120}, "d": {"f": 100}}) == pytest.approx(20)
    assert one.seen({"c": {"f": 120}}) is None


def test_a_missed_bound_and_a_failed_case_are_seen(scripts):
    _, _, page = scripts
    figures = {"10KB-8": {"ratio": 3.01}, "soak": {"error": "a process ended"}}
    assert [one.row for one in page.BENCH.missed(figures)] == [
        "10 KB, 8 clients: median round over the floor"
    ]
    lines = page.BENCH.table(figures, whole=False).splitlines()[2:]
    assert [line.split(" | ")[2] for line in lines] == ["3.01 x", "failed", "failed"]
    assert all("**no**" in line for line in lines)
    assert page.BENCH.table({}, whole=False) == ""


@pytest.fixture
def sheet(scripts, tmp_path):
    """A table of no bounds, whose page is not there yet."""
    _, _, page = scripts
    return page.Sheet("bench", tmp_path / "page.md", ())


def test_only_what_is_between_the_markers_is_written(sheet):
    sheet.page.write_text(f"before\n{sheet.begin}old\n{sheet.end}after\n")
    sheet.write("new")
    assert sheet.page.read_text() == f"before\n{sheet.begin}\nnew\n{sheet.end}after\n"


@pytest.mark.parametrize("text", ["", "{0}", "{1}{0}", "{0}{1}{0}{1}"])
def test_a_page_without_its_markers_is_refused_before_anything_is_measured(sheet, text):
    sheet.page.write_text(text.format(sheet.begin, sheet.end))
    with pytest.raises(ValueError, match=r"page\.md does not have"):
        sheet.check()
