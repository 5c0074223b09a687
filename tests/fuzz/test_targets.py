# SPDX-License-Identifier: Apache-2.0
"""Every target for a moment: valid files are read, mutated ones are read or refused."""

from __future__ import annotations

import logging
import os
from itertools import chain

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from mmar_runner.errors import MmarRunnerError
from tests.fuzz.catalog import TARGETS
from tests.fuzz.mutations import inputs
from tests.fuzz.target import FINDINGS, SEEDS, Target

_FINDINGS = tuple(
    chain.from_iterable(((t, path) for path in t.findings()) for t in TARGETS.values())
)
#: Other inputs than in every run, and so many of each target; `make fuzz` searches better.
_OTHERS = int(os.environ.get("MMAR_RUNNER_FUZZ_EXAMPLES", "0"))
_A_MOMENT = settings(
    database=None,
    deadline=None,
    derandomize=not _OTHERS,
    max_examples=_OTHERS or 80,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


# Some inputs are long; they are kept as files, and not read from a terminal.
pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")


@pytest.fixture(autouse=True)
def _quiet():
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_a_valid_file_is_read(target: Target) -> None:
    """Of a target whose seeds are all refused, only the refusal would be searched."""
    seeds = target.seeds()
    for seed in seeds:
        target(seed)

    assert seeds
    if target.name != "revocations":  # what nobody signed has no valid file
        assert any(_is_read(target, seed) for seed in seeds)


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_a_changed_file_is_read_or_refused(target: Target) -> None:
    @_A_MOMENT
    @given(inputs(target))
    def try_all(data: bytes) -> None:
        target(data)

    try_all()


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_brackets_as_deep_as_can_be_read_are_read_or_refused(target: Target) -> None:
    """Judging a value may go deeper than reading it: what only just can be read tells."""
    # A reader of YAML looks far ahead for a colon, and is slow at brackets.
    near = (900,) if target.name in {"yaml", "project"} else range(860, 1000, 10)
    for depth in (60, 70, *near, 20_000):
        target(b"[" * depth + b"]" * depth)
        target(b'{"a":' * depth + b"1" + b"}" * depth)


@pytest.mark.parametrize(
    ("target", "path"), _FINDINGS, ids=[f"{target.name}/{path.stem}" for target, path in _FINDINGS]
)
def test_what_was_found_stays_mended(target: Target, path) -> None:
    target(path.read_bytes())


def test_the_page_names_every_target() -> None:
    page = (FINDINGS.parents[2] / "docs/reference/fuzzing.md").read_text()

    assert [name for name in TARGETS if f"| `{name}` |" not in page] == []


def test_every_kept_file_is_of_a_target() -> None:
    kept = {folder.name for above in (SEEDS, FINDINGS) for folder in above.iterdir()}

    assert kept <= set(TARGETS)
    assert _FINDINGS


@settings(_A_MOMENT, max_examples=30)
@given(st.data())
def test_mutations_change_files_and_keep_them_small(data: st.DataObject) -> None:
    target = TARGETS["header"]

    assert len(data.draw(inputs(target))) <= 200_000


def _is_read(target: Target, seed: bytes) -> bool:
    try:
        target.run(seed)
    except MmarRunnerError:
        return False
    return True
