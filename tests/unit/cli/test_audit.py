# SPDX-License-Identifier: Apache-2.0
"""``audit verify`` and ``audit show``."""

from __future__ import annotations

import json

import pytest

from mmar_runner.cli import main as program
from mmar_runner.security.audit.log import AuditLog


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "audit.jsonl"
    with AuditLog(path, clock=lambda: 1_800_000_000.0) as log:
        log.record("Register", who="client site-1", peer="ipv4:127.0.0.1:5", run=3)
        log.record("Register", who="client \x1b[2J", decision="refused", reason="ROLE")
    return path


def call(*arguments):
    with pytest.raises(SystemExit) as caught:
        program.main(["audit", *map(str, arguments)])
    return caught.value.code


def test_verify_says_how_far_a_whole_log_goes(log, capsys):
    assert call("verify", log) == 0
    shown = capsys.readouterr().out
    assert "2 lines, whole, from 2027-01-15T08:00:00.000+00:00" in shown


def test_verify_as_json_holds_the_head(log, capsys):
    assert call("verify", log, "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["lines"] == 2
    assert answer["head"] == json.loads(log.read_bytes().splitlines()[-1])["hash"]


def test_verify_names_the_altered_line_and_exits_with_1(log, capsys):
    log.write_bytes(log.read_bytes().replace(b"ROLE", b"NONE"))
    assert call("verify", log) == 1
    assert f"{log}:2: it was altered" in capsys.readouterr().err


def test_verify_as_json_gives_the_reason(log, capsys):
    log.write_bytes(log.read_bytes().splitlines(keepends=True)[0])
    assert call("verify", log, "--json") == 1
    assert json.loads(capsys.readouterr().out)["error"]["reason"] == "AUDIT_TRUNCATED"


def test_show_writes_a_line_an_event_and_steers_no_screen(log, capsys):
    assert call("show", log) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.split("  ")[-2:] == ["ipv4:127.0.0.1:5", '{"run": 3}']
    assert "refused ROLE" in second
    assert "\x1b" not in second


def test_show_can_be_limited_to_what_was_refused(log, capsys):
    assert call("show", log, "--decision", "refused", "--json") == 0
    assert [line["seq"] for line in json.loads(capsys.readouterr().out)["lines"]] == [2]


def test_a_file_that_is_not_there_is_wrong_usage(tmp_path):
    assert call("verify", tmp_path / "audit.jsonl") == 2
