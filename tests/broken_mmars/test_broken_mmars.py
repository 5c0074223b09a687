# SPDX-License-Identifier: Apache-2.0
"""Folders with one defect each: the validator finds it, alone, in its place, with a mend."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from mmar_runner.errors import MmarUnreadableError
from mmar_runner.hooks import load_plugins
from mmar_runner.mmar.codes import CODES, Severity
from mmar_runner.mmar.reports.report import unreadable
from mmar_runner.mmar.validation import validate

HERE = Path(__file__).parent
SAMPLES = HERE.parents[1] / "mmars"
GOOD = {"good_echo", "good_torch"}
#: Samples that bring code, which is always said.
BRINGS_CODE = {"digits_entry_points"}
#: Codes that no folder in a repository can have, and what holds them instead.
ELSEWHERE = {
    "MMAR103": "built below",
    "MMAR104": "built below",
    "MMAR105": "built below",
    "MMAR106": "built below",
    "MMAR107": "built below",
    "MMAR108": "tests/unit/mmar/test_folder.py",  # git keeps no permissions
    "MMAR116": "built below",
    "MMAR118": "tests/unit/mmar/test_bundles_checked.py",  # of a bundle in an MMAR
    "MMAR303": "tests/unit/mmar/test_variables.py",  # of --set, not of a folder
    "MMAR305": "tests/unit/mmar/test_variables.py",
    "MMAR307": "tests/unit/mmar/test_variables.py",
    "MMAR517": "tests/unit/mmar/test_defects.py",  # needs parts that no bundled plugin has
    "MMAR518": "tests/unit/mmar/test_components.py",  # of two plugins
    "MMAR522": "tests/unit/plugins_monai/test_packages.py",  # of the machine's packages
    "MMAR523": "tests/unit/mmar/test_references.py",
    "MMAR524": "tests/unit/plugins_monai/test_undeclarable.py",  # of no bundled plugin
    "MMAR531": "tests/unit/mmar/test_older_code.py",  # of a plugin that is not installed
    "MMAR532": "tests/unit/mmar/test_older_code.py",  # as what is said of older code
    "MMAR533": "tests/unit/mmar/test_older_code.py",
    "MMAR605": "tests/unit/mmar/test_defects.py",  # needs filters, of which none is bundled
    "MMAR606": "tests/unit/mmar/test_site_policy.py",  # of a policy, as all that follow
    "MMAR607": "tests/unit/mmar/test_defects.py",
    "MMAR635": "tests/unit/plugins_monai/test_needs.py",  # of parts that no bundled plugin has
    "MMAR647": "tests/unit/mmar/test_defects.py",  # of handlers only a selector is bundled
    "MMAR650": "tests/unit/mmar/test_combinations.py",
    "MMAR651": "tests/unit/mmar/test_combinations.py",
    "MMAR652": "tests/unit/mmar/test_combinations.py",
    "MMAR653": "tests/unit/mmar/test_budgets.py",
    "MMAR661": "built below",
    "MMAR662": "tests/unit/deep/test_deep_check.py",  # of what is built, as all that follow
    "MMAR663": "tests/unit/deep/test_deep_check.py",
    "MMAR664": "tests/unit/deep/test_deep_check.py",
    "MMAR665": "tests/unit/deep/test_deep_check.py",
    "MMAR666": "tests/unit/deep/test_deep_check.py",
    "MMAR668": "tests/unit/deep/test_dry_run.py",
    "MMAR701": "tests/unit/mmar/test_site_policy.py",
    "MMAR702": "tests/unit/mmar/test_site_policy.py",
    "MMAR703": "tests/unit/mmar/test_site_policy.py",
    "MMAR704": "tests/unit/mmar/test_site_policy.py",
    "MMAR705": "tests/unit/mmar/test_site_policy.py",
    "MMAR706": "tests/unit/mmar/test_site_policy.py",
    "MMAR707": "tests/unit/mmar/test_site_policy.py",
    "MMAR708": "tests/unit/mmar/test_site_policy.py",
    "MMAR709": "tests/unit/mmar/test_bundles_checked.py",
}


@dataclass(frozen=True)
class Row:
    folder: str
    defect: str
    code: str
    severity: str
    file: str
    line: int
    pointer: str
    mend: str


def _rows():
    for line in (HERE / "README.md").read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if not cells or not cells[0].startswith("`"):
            continue
        plain = [re.sub(r"^`(.*)`$", r"\1", cell).replace("\\|", "|") for cell in cells]
        folder, defect, code, severity, file, number, pointer, mend = plain
        found = re.match(r"\[(\w+)\]", code)[1]
        file = "" if file == "(folder)" else file
        pointer = "" if pointer == "(whole)" else pointer
        yield Row(folder, defect, found, severity, file, int(number), pointer, mend)


ROWS = list(_rows())


@pytest.fixture(scope="module")
def catalog():
    return load_plugins().registry


def _findings(folder, catalog):
    try:
        return validate(folder, catalog).report.findings
    except MmarUnreadableError as error:
        return unreadable(str(folder), error).findings


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.folder)
def test_the_defect_is_found_alone_in_its_place_with_its_mend(row, catalog):
    every = _findings(HERE / row.folder, catalog)

    notes = row.severity == "note"  # otherwise notes may stand beside what is wrong
    found = [f for f in every if (f.severity == Severity.NOTE) == notes]
    assert len(found) == 1, "\n".join(map(str, every)) or "nothing was found"
    assert (found[0].code, found[0].severity) == (row.code, row.severity)
    assert (found[0].file, found[0].line, found[0].pointer) == (row.file, row.line, row.pointer)
    assert row.mend in found[0].hint
    assert all(f.hint and f.message for f in every)


@pytest.mark.parametrize(
    "folder", [*sorted(HERE / name for name in GOOD), *sorted(SAMPLES.iterdir())]
)
def test_a_good_mmar_has_no_finding(folder, catalog):
    said = {"MMAR614", "MMAR670"} if folder.name in BRINGS_CODE else set()
    assert {finding.code for finding in _findings(folder, catalog)} == said


def test_every_folder_stands_in_the_table_once_and_the_reverse():
    folders = {path.name for path in HERE.iterdir() if path.is_dir()} - {"__pycache__"}

    assert sorted(row.folder for row in ROWS) == sorted(folders - GOOD)
    assert len(ROWS) >= 90


def test_every_code_that_is_no_note_has_a_folder_or_is_held_elsewhere():
    serious = {code for code, meaning in CODES.items() if meaning.severity != Severity.NOTE}
    covered = {row.code for row in ROWS}

    assert serious - covered == set(ELSEWHERE)
    for code, where in ELSEWHERE.items():
        if where != "built below":
            assert code in (HERE.parents[1] / where).read_text("utf-8")


# -- what git does not keep, or nobody wants to keep -------------------------------------------


def _link_out(config):
    (config / "config_train.json").symlink_to("/etc/hostname")


def _link_to_nothing(config):
    (config / "config_train.json").symlink_to("nothing.json")


def _link_to_a_folder(config):
    (config / "more").symlink_to(".")


def _pipe(config):
    os.mkfifo(config / "pipe.json")


def _large(config):
    (config / "large.json").write_bytes(b" " * (8 * 1024 * 1024 + 1))


def _deep(config):
    config.joinpath(*"abcdefghijklmnopqr").mkdir(parents=True)


def _twins(config):
    (config / "Notes.txt").write_text("")
    (config / "notes.txt").write_text("")


def _second_environment(config):
    (config / "Environment.json").write_text("{}")


def _swap_file(config):
    (config / ".config_train.json.swp").write_bytes(b"b0VIM 9.0")


def _backslash(config):
    (config / "old\\notes.txt").write_text("")


def _many_values(config):
    (config / "many.json").write_text(f'{{"a": [{"0," * 500_000}0]}}')


@pytest.mark.parametrize(
    ("build", "code"),
    [
        (_link_out, "MMAR103"),
        (_link_to_nothing, "MMAR103"),
        (_link_to_a_folder, "MMAR661"),
        (_pipe, "MMAR104"),
        (_large, "MMAR105"),
        (_deep, "MMAR106"),
        (_twins, "MMAR107"),
        (_backslash, "MMAR107"),
        (_second_environment, "MMAR107"),
        (_swap_file, "MMAR622"),
        (_many_values, "MMAR116"),
    ],
)
def test_what_no_repository_keeps_is_found_too(build, code, tmp_path, catalog):
    config = tmp_path / "job" / "config"
    config.mkdir(parents=True)
    for file in (HERE / "good_echo" / "config").iterdir():
        (config / file.name).write_bytes(file.read_bytes())
    build(config)

    (finding,) = _findings(config.parent, catalog)

    assert finding.code == code
    assert finding.file.startswith("config/")
    assert finding.hint
