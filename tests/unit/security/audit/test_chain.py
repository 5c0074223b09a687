# SPDX-License-Identifier: Apache-2.0
"""The chain of the audit log: what is written stays, what is altered is found."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmar_runner.errors import AuditError
from mmar_runner.security.audit import file as audit_file
from mmar_runner.security.audit import log as audit_module
from mmar_runner.security.audit.line import NO_LINE
from mmar_runner.security.audit.log import AuditLog
from mmar_runner.security.audit.reading import verify_audit
from tests.unit.security.audit.logs import filled, lines, refused


def test_a_line_holds_what_was_recorded_and_follows_on_the_one_before(path, clock):
    with AuditLog(path, clock=clock) as log:
        log.record("Register", who="client site-1", peer="ipv4:127.0.0.1:5", run=3)
        refused(log, who="")
    first, second = lines(path)
    assert first["time"] == "2027-01-15T08:00:00.000+00:00"
    assert (first["seq"], first["who"], first["peer"]) == (1, "client site-1", "ipv4:127.0.0.1:5")
    assert (first["action"], first["decision"], first["data"]) == (
        "Register",
        "accepted",
        {"run": 3},
    )
    assert first["previous"] == NO_LINE
    assert second["previous"] == first["hash"]
    assert (second["decision"], second["reason"]) == ("refused", "ROLE")


def test_a_later_process_goes_on_with_the_chain(path):
    filled(path, 3)
    filled(path, 2)
    summary = verify_audit(path)
    assert summary.lines == 5
    assert summary.head == lines(path)[-1]["hash"]


def test_an_empty_log_is_whole(path):
    filled(path, 0)
    assert verify_audit(path).lines == 0


def test_files_are_the_owners_alone(path):
    filled(path)
    for file in (path, audit_file.head_path(path)):
        assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("number", range(5))
def test_an_altered_line_is_named(path, number):
    content = filled(path)
    content[number] = content[number].replace(b"site-", b"sita-")
    path.write_bytes(b"".join(content))
    with pytest.raises(AuditError, match=rf"audit.jsonl:{number + 1}: ") as caught:
        verify_audit(path)
    assert caught.value.reason == "AUDIT_ALTERED"


@pytest.mark.parametrize("number", range(4))
def test_a_missing_line_is_found_where_it_is_missing(path, number):
    content = filled(path)
    del content[number]
    path.write_bytes(b"".join(content))
    with pytest.raises(AuditError, match=rf":{number + 1}: ") as caught:
        verify_audit(path)
    assert caught.value.reason == "AUDIT_ORDER"


@pytest.mark.parametrize("kept", range(5))
def test_a_tail_that_was_cut_off_is_found(path, kept):
    content = filled(path)
    path.write_bytes(b"".join(content[:kept]))
    with pytest.raises(AuditError, match="the head names 5 lines") as caught:
        verify_audit(path)
    assert caught.value.reason == "AUDIT_TRUNCATED"
    with pytest.raises(AuditError) as caught:
        AuditLog(path)
    assert caught.value.reason == "AUDIT_TRUNCATED"


def test_lines_in_another_order_are_found(path):
    content = filled(path)
    content[1], content[2] = content[2], content[1]
    path.write_bytes(b"".join(content))
    with pytest.raises(AuditError) as caught:
        verify_audit(path)
    assert caught.value.reason == "AUDIT_ORDER"


def test_a_whole_new_chain_is_not_the_one_that_the_head_knows(path, tmp_path):
    filled(path)
    filled(tmp_path / "other.jsonl", 5)
    (tmp_path / "other.jsonl").replace(path)
    with pytest.raises(AuditError) as caught:
        verify_audit(path)
    assert caught.value.reason == "AUDIT_TRUNCATED"


@pytest.mark.parametrize("what", ["missing", "altered"])
def test_a_head_that_is_gone_or_edited_is_found(path, what):
    filled(path)
    head = audit_file.head_path(path)
    if what == "missing":
        head.unlink()
    else:
        head.write_bytes(head.read_bytes().replace(b'"count": 5', b'"count": 4'))
    with pytest.raises(AuditError):
        verify_audit(path)


@pytest.mark.parametrize(
    "text",
    ['{"count": Infinity, "hash": "", "size": 0}', '{"count": 1e999}', "[" * 100_000, "", "{}"],
    ids=["infinity", "large", "deep", "empty", "nothing"],
)
def test_a_head_that_is_no_head_is_found_and_told(path, text):
    filled(path)
    audit_file.head_path(path).write_text(text)
    with pytest.raises(AuditError) as caught:
        verify_audit(path)
    assert caught.value.reason == "AUDIT_HEAD"


def test_a_head_that_is_a_pipe_is_not_waited_for(path):
    filled(path)
    audit_file.head_path(path).unlink()
    os.mkfifo(audit_file.head_path(path))
    with pytest.raises(AuditError) as caught:
        verify_audit(path)
    assert caught.value.reason == "AUDIT_HEAD"


def test_a_log_that_is_refused_leaves_no_file_open(path):
    filled(path)
    audit_file.head_path(path).write_text("{}")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        with pytest.raises(AuditError):
            audit_file.AuditFile(path)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_head_from_an_old_copy_is_found(path):
    filled(path, 1)
    old = audit_file.head_path(path).read_bytes()
    filled(path, audit_module.MAX_BATCH + 2)
    audit_file.head_path(path).write_bytes(old)
    with pytest.raises(AuditError) as caught:
        verify_audit(path)
    assert caught.value.reason == "AUDIT_HEAD"


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_change_of_any_byte_goes_unseen(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("audit") / "audit.jsonl"
    filled(path, 3)
    content = bytearray(path.read_bytes())
    position = data.draw(st.integers(0, len(content) - 1))
    content[position] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    with pytest.raises(AuditError):
        verify_audit(path)
