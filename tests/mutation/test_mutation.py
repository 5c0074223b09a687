# SPDX-License-Identifier: Apache-2.0
"""The mutants are what they say, the explanations are still about something, and a few are tried.

``make mutants`` tries them all.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutation import put_in
from tests.mutation.explained import Explanation, explanations
from tests.mutation.mutations import mutants_of
from tests.mutation.session import PACKAGE, ROOT

_MODULE = '''
"""One sentence."""
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    LIMIT = 1
Word: TypeAlias = Literal["a"]
LIMIT: int = 3

def small(size: "int", name: str = "x") -> "bool":
    """One."""
    if not size:
        raise ValueError("there is no size", f"{name}")
    return size < LIMIT and name.startswith("y")
'''


def _module(folder: Path) -> Path:
    path = folder / "mmar_runner" / "toy.py"
    path.parent.mkdir()
    path.write_text(_MODULE)
    return path


def test_a_module_has_these_mutants(tmp_path):
    mutants = list(mutants_of(_module(tmp_path)))
    assert [(m.line, m.function, m.change) for m in mutants] == [
        (8, False, "3 -> 4"),
        (10, False, "'x' -> 'Xx'"),
        (12, True, "not size -> size"),
        (13, True, "raise ValueError('there is no size', f'{name}') -> pass"),
        (
            14,
            True,
            "return size < LIMIT and name.startswith('y') -> return None",
        ),
        (
            14,
            True,
            "size < LIMIT and name.startswith('y') -> size < LIMIT or name.startswith('y')",
        ),
        (14, True, "size < LIMIT -> size <= LIMIT"),
        (14, True, "size < LIMIT -> size >= LIMIT"),
        (14, True, "name.startswith('y') -> name.endswith('y')"),
        (14, True, "'y' -> 'Xy'"),
    ]
    assert {m.module for m in mutants} == {"toy"}


def test_a_function_that_is_there_becomes_the_mutants(tmp_path):
    path = _module(tmp_path)
    space: dict[str, object] = {}
    exec(compile(path.read_text(), str(path), "exec"), space)  # noqa: S102 as an import would
    small = space["small"]
    assert small(2, "y")
    (mutant,) = (m for m in mutants_of(path) if m.change == "not size -> size")
    assert put_in.into_functions(mutant)
    with pytest.raises(ValueError, match="there is no size"):
        small(2, "y")


def test_what_only_an_import_runs_is_not_found_in_functions(tmp_path):
    mutant = next(mutants_of(_module(tmp_path)))
    assert not put_in.into_functions(mutant)


@pytest.mark.parametrize("entry", explanations(), ids=lambda entry: entry.module)
def test_an_explanation_is_about_a_mutant(entry: Explanation):
    path = PACKAGE / f"{entry.module.replace('.', '/')}.py"
    assert any(entry.fits(m.module, m.text, m.change) for m in mutants_of(path)), entry
    assert len(entry.why.split()) > 3


@pytest.mark.slow
def test_a_sample_is_noticed_by_the_tests(tmp_path):
    out = tmp_path / "mutants.jsonl"
    names = ["federation", "--sample", "30", "--seed", "0", "--out", str(out)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.mutation", *names],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    endings = [json.loads(line)["ending"] for line in out.read_text().splitlines()]
    assert len(endings) == 30
    assert set(endings) <= {"killed", "timeout", "explained"}
