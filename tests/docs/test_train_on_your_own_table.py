# SPDX-License-Identifier: Apache-2.0
"""The page about one's own table, followed to the letter in an empty folder."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "how-to" / "train-on-your-own-table.md"
FENCE = re.compile(r"^```(\w+)(?: write=(\S+))?\n(.*?)^```", re.MULTILINE | re.DOTALL)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


HEADER = "marker,age,platelets,score,sex,diagnosis"


def run(script, folder):
    beside = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env={**os.environ, "PATH": beside},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """Return the folder in which somebody followed the page, and what each script said."""
    folder = tmp_path_factory.mktemp("reader")
    said = {}
    for language, path, text in FENCE.findall(PAGE.read_text()):
        if path:
            (folder / path).write_text(text)
        elif language == "sh":
            said[text] = run(text, folder)
    return folder, said


def test_the_page_works(followed):
    folder, said = followed
    summary = json.loads((folder / "workspace/study/run_1/summary.json").read_text())
    assert summary["status"] == "finished"
    checked = next(answer for script, answer in said.items() if "validate-mmar" in script)
    assert "0 errors, 0 warnings" in checked


def test_the_model_predicts_what_the_page_says(followed):
    _, said = followed
    right, total = re.fullmatch(r"(\d+) of (\d+) right\n", said["python predict.py\n"]).groups()
    assert int(total) == 200
    assert int(right) >= 160


def test_there_is_a_line_for_each_round_and_site(followed):
    _, said = followed
    lines = said["grep val_auc workspace/study/run_1/metrics.csv\n"].splitlines()
    assert {tuple(line.split(",")[1:3]) for line in lines} == {
        (str(number), f"site-{site}") for number in range(5) for site in (1, 2, 3)
    }


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("marker;age;platelets;score;sex;diagnosis\n1;2;3;4;male;benign\n", "is the delimiter"),
        ("marker,age,score,sex,diagnosis\n1,2,4,male,benign\n", "no column {'platelets'}"),
        (
            f"id,{HEADER}\nP0,1,2,3,4,male,benign\nP1,1,old,3,4,male,benign\n",
            "line 3, column age: 'old' is no number",
        ),
        (f"{HEADER}\n1,NA,3,4,male,benign\n1,?,3,4,unsure,benign\n", "'unsure' is none of"),
    ],
    ids=["semicolons", "a column is missing", "a word", "another word"],
)
def test_another_table_is_refused_with_the_column(followed, tmp_path, table, says):
    folder, _ = followed
    (tmp_path / "own.csv").write_text(table)
    script = f"import sys; sys.path.insert(0, {str(folder / 'study/custom')!r}); import table"
    done = subprocess.run(
        [sys.executable, "-c", f"{script}; table.read('own.csv')"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert says in done.stderr


def test_missing_cells_and_words_become_numbers(followed, tmp_path):
    folder, _ = followed
    rows = ["NA,60,100, N/A ,male,benign", ",50,null,5,,benign"]
    (tmp_path / "own.csv").write_text("\n".join([HEADER, *rows]))
    script = f"import sys; sys.path.insert(0, {str(folder / 'study/custom')!r}); import table"
    printed = "print(table.read('own.csv')[0].tolist())"
    done = subprocess.run(
        [sys.executable, "-c", f"{script}; {printed}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == [[0, 1, 1, 0, 0, 1], [0, 0, 0, 0, 0, 0]]
