# SPDX-License-Identifier: Apache-2.0
"""Log messages, and an MMAR's log.config as data."""

import json
import logging
import sys

import pytest

from mmar_runner.cli.logging import (
    JsonFormatter,
    apply_log_levels,
    configure_logging,
    read_log_levels,
)

CLARA = """\
[loggers]
keys=root,modelLogger
[handlers]
keys=consoleHandler
[formatters]
keys=fullFormatter
[logger_root]
level=INFO
handlers=consoleHandler
[logger_modelLogger]
level=debug
handlers=consoleHandler
qualname=modelLogger
propagate=0
[handler_consoleHandler]
class=StreamHandler
level=DEBUG
args=(sys.stdout,)
[formatter_fullFormatter]
format=%(asctime)s - %(name)s
"""


@pytest.fixture
def restored():
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers, root.level = before


def test_only_levels_are_taken(tmp_path):
    path = tmp_path / "log.config"
    path.write_text(CLARA)
    assert read_log_levels(path) == {"": logging.INFO, "modelLogger": logging.DEBUG}


def test_an_expression_in_the_file_is_never_evaluated(tmp_path):
    canary = tmp_path / "canary"
    path = tmp_path / "log.config"
    path.write_text(
        CLARA.replace("(sys.stdout,)", f"(open({str(canary)!r}, 'w'),)").replace(
            "class=StreamHandler", "class=__import__('os').abort"
        )
    )
    assert read_log_levels(path)["modelLogger"] == logging.DEBUG
    assert not canary.exists()


@pytest.mark.parametrize(
    "text", ["not an ini", "[logger_x]\nlevel=LOUD\n", "[logger_x]\nlevel=%(boom)s\n", "\x00"]
)
def test_a_bad_file_sets_nothing(tmp_path, text):
    path = tmp_path / "log.config"
    path.write_text(text)
    assert read_log_levels(path) == {}


def test_missing_undecodable_and_huge_files_set_nothing(tmp_path):
    assert read_log_levels(tmp_path / "none") == {}
    path = tmp_path / "log.config"
    path.write_bytes(b"\xff\xfe\x00")
    assert read_log_levels(path) == {}
    path.write_text(CLARA + "#" * (300 << 10))
    assert read_log_levels(path) == {}


def test_levels_are_set_but_not_the_roots(restored):
    root = logging.getLogger().level
    apply_log_levels({"": logging.CRITICAL, "test.of.levels": logging.ERROR})
    assert logging.getLogger("test.of.levels").level == logging.ERROR
    assert logging.getLogger().level == root


@pytest.mark.parametrize(
    ("verbose", "level"),
    [(0, logging.WARNING), (1, logging.INFO), (2, logging.DEBUG), (9, logging.DEBUG)],
)
def test_verbosity(restored, verbose, level):
    configure_logging(verbose=verbose, log_format="text")
    assert logging.getLogger().level == level


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
