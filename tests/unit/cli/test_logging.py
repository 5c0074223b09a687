# SPDX-License-Identifier: Apache-2.0
"""Log messages, and an MMAR's log.config as data."""

import json
import logging
import re
import shutil
import sys
from pathlib import Path

import pytest

from mmar_runner.cli.logging import (
    JsonFormatter,
    apply_log_levels,
    configure_logging,
)
from mmar_runner.cli.starting.validated import checked
from mmar_runner.hooks import load_plugins


@pytest.fixture
def restored():
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers, root.level = before


def test_levels_are_set_but_not_the_roots(restored):
    root = logging.getLogger().level
    apply_log_levels({"": "CRITICAL", "test.of.levels": "ERROR"})
    assert logging.getLogger("test.of.levels").level == logging.ERROR
    assert logging.getLogger().level == root


@pytest.mark.parametrize(
    ("verbose", "level"),
    [(0, logging.WARNING), (1, logging.INFO), (2, logging.DEBUG), (9, logging.DEBUG)],
)
def test_verbosity(restored, verbose, level):
    configure_logging(verbose=verbose, log_format="text")
    assert logging.getLogger().level == level


def test_a_message_has_its_time_as_progress_has(restored, capsys):
    configure_logging(verbose=0, log_format="text")
    logging.getLogger("room").warning("low on %s", "disk")
    said = capsys.readouterr().err
    assert re.fullmatch(r"[0-2]\d:[0-5]\d:[0-5]\d WARNING room: low on disk\n", said)
    record = logging.LogRecord("a", logging.ERROR, "f", 1, "m", None, None)
    record.created = 3600.0
    assert logging.getLogger().handlers[0].format(record) == "01:00:00 ERROR a: m"


def test_json_messages(restored, capsys):
    configure_logging(verbose=0, log_format="json")
    logging.getLogger("room").warning("low on %s", "disk")
    entry = json.loads(capsys.readouterr().err)
    assert entry["level"] == "warning"
    assert entry["logger"] == "room"
    assert entry["message"] == "low on disk"
    assert entry["time"].endswith("+00:00")


def test_json_messages_carry_tracebacks():
    try:
        int("x")
    except ValueError:
        record = logging.LogRecord("a", logging.ERROR, "f", 1, "m", None, sys.exc_info())
    assert "ValueError: invalid literal" in json.loads(JsonFormatter().format(record))["traceback"]


def test_an_mmar_that_is_run_sets_its_levels(tmp_path):
    mmar = tmp_path / "echo"
    shutil.copytree(Path(__file__).resolve().parents[3] / "mmars" / "echo", mmar)
    (mmar / "resources" / "log.config").write_text("[logger_x]\nqualname=of.an.mmar\nlevel=ERROR\n")
    checked(mmar, load_plugins(), side="server", settings={})
    assert logging.getLogger("of.an.mmar").level == logging.ERROR
