# SPDX-License-Identifier: Apache-2.0
"""The logging configuration of an MMAR is data."""

from __future__ import annotations

import time

import pytest

from mmar_runner.mmar.checks.logging_config import LOG_CONFIG, read_levels
from mmar_runner.mmar.finding import Findings
from mmar_runner.mmar.folder import open_folder

GOOD = """
[loggers]
keys=root,mine

[logger_root]
level = INFO

[logger_mine]
level: DEBUG
qualname=my.logger

[handler_console]
class=StreamHandler
args=(sys.stdout,)

[formatter_full]
format=%(asctime)s - %(name)s
    - %(message)s
"""


def levels(mmar, text):
    mmar.save()
    mmar.write(LOG_CONFIG, text)
    findings = Findings()
    found = read_levels(open_folder(mmar.root, findings), findings)
    return found, findings.result(strict=False)


def test_levels_are_taken(mmar):
    assert levels(mmar, GOOD) == ({"": "INFO", "my.logger": "DEBUG"}, ())


def test_without_a_file_there_is_nothing(mmar):
    mmar.save()
    findings = Findings()

    assert read_levels(open_folder(mmar.root, findings), findings) == {}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("level=LOUD", "no logging level"),
        ("args=(__import__('os').system('touch /tmp/x'),)", "never executed"),
        ("args=[c for c in ().__class__.__mro__]", "never executed"),
        ("what is this", "neither"),
    ],
)
def test_what_cannot_be_used_is_told_with_its_line(mmar, line, says):
    _, found = levels(mmar, f"[logger_root]\nlevel=INFO\n{line}\n")

    assert [(f.code, f.file, f.line) for f in found] == [("MMAR613", LOG_CONFIG, 3)]
    assert says in found[0].message


def test_the_validator_tells_it_too(mmar):
    mmar.write(LOG_CONFIG, "[logger_root]\nlevel=LOUD\n")

    assert mmar.only().code == "MMAR613"


@pytest.mark.parametrize(
    "line",
    ["args=(" + ",  " * 40 + "x y", "a" + " " * 200_000 + "b", "args=(" + " " * 200_000 + "x y"],
)
def test_no_line_takes_longer_than_its_length(mmar, line):
    begun = time.process_time()

    found, _ = levels(mmar, f"[logger_root]\n{line}\nlevel=INFO\n")

    assert found == {"": "INFO"}
    assert time.process_time() - begun < 5
