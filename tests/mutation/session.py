# SPDX-License-Identifier: Apache-2.0
"""One session of pytest in which mutants are tried, instead of tests being run once.

First every test runs as it is, and which lines of the package it touches is written down.
Then, for each mutant, a forked process that has everything imported runs the tests that touch
the mutant's lines, quickest first, until one fails. What is only run when a module is imported
cannot be exchanged afterwards: for that, pytest starts anew in a forked process that has
imported nothing of the package yet.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TypeAlias

import coverage
import hypothesis
import pytest

from tests.mutation import forks, put_in
from tests.mutation.mutations import Mutant

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "mmar_runner"
OPTIONS = (
    *("-p", "no:cacheprovider", "-p", "no:xdist", "-q", "--timeout=0", "--no-header"),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),
)
#: Tests of more seconds are left out: a mutant that survives has to pass all that touch it.
TOO_SLOW = 3.0
#: As many seconds of the quickest tests are run for one mutant that has none of its own.
ALL_IN_ALL = 15.0


@dataclass(slots=True)
class Touched:
    """What is known of the tests.

    Attributes:
        seconds: How long a test takes, by its id, of those that pass and are not too slow.
        lines: The tests that touch a line, by file and line.
        left_out: Why another one is not run, by its id.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    lines: dict[str, dict[int, list[str]]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    def tests_for(self, mutant: Mutant) -> list[str]:
        """Return the ids of the tests that may notice: the module's own, then the quickest."""
        own = f"test_{mutant.path.stem.partition('_')[0]}"

        def place(name: str) -> tuple[bool, float]:
            return own not in name, self.seconds[name]

        if mutant.function:
            ids = self._touching(str(mutant.path), range(mutant.lines[0], mutant.lines[1] + 1))
            return sorted(ids, key=place)
        ids = {name for path in _users_of(mutant) for name in self._touching(path, None)}
        ids |= {name for name in self.seconds if _imports(ROOT / name.partition("::")[0], mutant)}
        return list(self._in_time(sorted(ids or self.seconds, key=place)))

    def _touching(self, path: str, lines: Sequence[int] | None) -> set[str]:
        touched = self.lines.get(path, {})
        wanted = touched.keys() if lines is None else lines
        return {name for line in wanted for name in touched.get(line, ()) if name in self.seconds}

    def _in_time(self, names: list[str]) -> Iterator[str]:
        left = ALL_IN_ALL
        for name in names:
            if (left := left - self.seconds[name]) < 0:
                return
            yield name


def _users_of(mutant: Mutant) -> list[str]:
    """Return the files of a module and of those that import it."""
    return [str(path) for path in PACKAGE.rglob("*.py") if _imports(path, mutant)]


def _imports(path: Path, mutant: Mutant) -> bool:
    """Return True for a file that imports the mutant's module, or is it."""
    package, _, last = f"mmar_runner.{mutant.module}".rpartition(".")
    way = rf"from {package}(?:\.{last} import| import .*\b{last}\b)|import {package}\.{last}\b"
    return path == mutant.path or bool(re.search(way, _text(path)))


@cache
def _text(path: Path) -> str:
    return path.read_text()


#: Takes what is known of the tests, the tests, and where reports of running ones will be.
Then: TypeAlias = Callable[[Touched, dict[str, pytest.Item], list[pytest.TestReport]], None]


class Watch:
    """The plugin that takes over once the tests have been collected."""

    def __init__(self, then: Then) -> None:
        self._then = then
        self.reports: list[pytest.TestReport] = []
        self.done = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep what became of a part of a test."""
        self.reports.append(report)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run every test once and hand over what was seen."""
        items = {item.nodeid: item for item in session.items}
        self._then(_touched(list(items.values()), self.reports), items, self.reports)
        self.done = True
        return True


def _touched(items: list[pytest.Item], reports: list[pytest.TestReport]) -> Touched:
    watcher = coverage.Coverage(data_file=None, config_file=False, include=[f"{PACKAGE}/*"])
    touched = Touched()
    watcher.start()
    for item, following in zip(items, [*items[1:], None], strict=True):
        watcher.switch_context(item.nodeid)
        begun = time.process_time(), time.monotonic()
        reports.clear()
        item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
        used = time.process_time() - begun[0]
        # Of a test that waits for other processes the waiting counts, as far as it is long.
        quick = max(used, (time.monotonic() - begun[1]) / 5) <= TOO_SLOW
        if any(report.failed for report in reports):
            touched.left_out[item.nodeid] = "fails without any mutant"
        elif not quick:
            touched.left_out[item.nodeid] = "slow"
        elif all(report.passed for report in reports):
            touched.seconds[item.nodeid] = used
    watcher.stop()
    data = watcher.get_data()
    for path in data.measured_files():
        touched.lines[path] = data.contexts_by_lineno(path)
    return touched


def try_in_functions(
    mutant: Mutant, items: Sequence[pytest.Item], reports: list[pytest.TestReport]
) -> int:
    """Try a mutant in this process, which is a forked one, until a test fails."""
    if not put_in.into_functions(mutant):
        return forks.UNCHANGED
    for item, following in zip(items, [*items[1:], None], strict=True):
        reports.clear()
        item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
        if any(report.failed for report in reports):
            return forks.KILLED
    return forks.SURVIVED


class _Only:
    """The plugin that runs these tests alone, in this order."""

    def __init__(self, names: Sequence[str]) -> None:
        self._place = {name: place for place, name in enumerate(names)}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Leave the others out."""
        chosen = [item for item in items if item.nodeid in self._place]
        items[:] = sorted(chosen, key=lambda item: self._place[item.nodeid])


def try_in_module(mutant: Mutant, names: Sequence[str]) -> int:
    """Try a mutant in this process, which is a forked one without the package."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    put_in.IntoModule(mutant, ROOT).put_in()
    files = dict.fromkeys(name.partition("::")[0] for name in names)
    status = pytest.main([*OPTIONS, "-x", *files], plugins=[_Only(names)])
    if status == pytest.ExitCode.NO_TESTS_COLLECTED:
        return forks.BROKEN
    # Else a test has failed, or its module, or what pytest reads first, cannot be imported.
    return forks.SURVIVED if status == pytest.ExitCode.OK else forks.KILLED


def be_the_same_every_time() -> None:
    """Have hypothesis draw the same examples for every mutant."""
    hypothesis.settings.register_profile(
        "mutation", derandomize=True, database=None, deadline=None, print_blob=False
    )
    hypothesis.settings.load_profile("mutation")
    sys.dont_write_bytecode = True
