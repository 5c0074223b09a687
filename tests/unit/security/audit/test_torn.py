# SPDX-License-Identifier: Apache-2.0
"""The end of an audit log: what a crash leaves there, and what no crash leaves."""

from __future__ import annotations

import os

import pytest

from mmar_runner.errors import AuditError
from mmar_runner.security.audit import file as audit_file
from mmar_runner.security.audit.log import AuditLog
from mmar_runner.security.audit.reading import verify_audit
from tests.unit.security.audit.logs import filled, lines


def test_a_crash_between_line_and_head_is_mended_at_the_next_start(path):
    filled(path, 2)
    before = audit_file.head_path(path).read_bytes()
    filled(path, 2)
    audit_file.head_path(path).write_bytes(before)
    assert verify_audit(path).lines == 4
    filled(path, 1)
    assert verify_audit(path).lines == 5


@pytest.mark.parametrize("cut", [1, 2, 40, 200])
def test_a_torn_last_line_is_put_aside_and_recorded(path, cut):
    filled(path, 2)
    before = audit_file.head_path(path).read_bytes()
    torn = filled(path, 1)[-1][:-cut]
    path.write_bytes(path.read_bytes()[:-cut])
    audit_file.head_path(path).write_bytes(before)
    with pytest.raises(AuditError) as caught:
        verify_audit(path)
    assert caught.value.reason == "AUDIT_TORN"

    filled(path, 1)
    repaired = lines(path)[2]
    assert (repaired["action"], repaired["decision"]) == ("audit.repaired", "noted")
    assert repaired["data"]["bytes"] == len(torn)
    assert path.with_name(repaired["data"]["kept_in"]).read_bytes() == torn
    assert verify_audit(path).lines == 4


@pytest.mark.parametrize("kind", ["symlink", "hard link", "pipe"])
def test_what_was_planted_where_a_torn_line_is_put_is_not_followed(path, tmp_path, kind):
    filled(path, 1)
    with path.open("ab") as file:
        file.write(b"torn")
    victim, aside = tmp_path / "victim", path.with_name("audit.jsonl.torn-2")
    victim.write_bytes(b"precious")
    plant = {
        "symlink": lambda: aside.symlink_to(victim),
        "hard link": lambda: aside.hardlink_to(victim),
        "pipe": lambda: os.mkfifo(aside),
    }
    plant[kind]()
    filled(path, 1)

    assert victim.read_bytes() == b"precious"
    assert aside.read_bytes() == b"torn"
    assert not aside.is_symlink()
    assert aside.stat().st_mode & 0o777 == 0o600


def test_a_last_line_torn_after_it_was_acknowledged_is_no_crash(path):
    filled(path, 3)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(AuditError) as caught:
        AuditLog(path)
    assert caught.value.reason == "AUDIT_TRUNCATED"


HUGE = b'{"a":"' + b"x" * 2_000_000 + b'"}\n'


@pytest.mark.parametrize(
    ("spoil", "reason", "number"),
    [
        (lambda lines: b"".join(lines)[:-1], "AUDIT_TRUNCATED", 4),
        (lambda lines: lines[0] + lines[1][:50], "AUDIT_TRUNCATED", 2),
        (lambda lines: lines[0] + HUGE + b"".join(lines[1:]), "AUDIT_ALTERED", 2),
        (lambda lines: b"".join(lines) + HUGE, "AUDIT_ALTERED", 5),
        (lambda lines: b"".join(lines) + HUGE[:-1], "AUDIT_ALTERED", 5),
        (lambda lines: b"".join(lines) + HUGE[:50], "AUDIT_TORN", 5),
    ],
    ids=["last byte", "line 2", "long in the middle", "long at the end", "long and torn", "torn"],
)
def test_only_a_line_that_nobody_acknowledged_is_torn(path, spoil, reason, number):
    """Of a log that was cut or tampered with, none may say that the next start mends it."""
    path.write_bytes(spoil(filled(path, 4)))

    with pytest.raises(AuditError, match=rf":{number}: ") as caught:
        verify_audit(path)
    assert caught.value.reason == reason
    assert caught.value.hint
    assert ("puts it aside" in caught.value.hint) == (reason == "AUDIT_TORN")
    if reason == "AUDIT_TORN":
        filled(path, 1)
        assert verify_audit(path).lines == 6  # it says that it put something aside
    else:
        content = path.read_bytes()
        with pytest.raises(AuditError) as caught:
            AuditLog(path)
        assert caught.value.reason in {reason, "AUDIT_TRUNCATED"}
        assert caught.value.hint
        assert path.read_bytes() == content


def test_a_line_that_is_too_long_is_told_with_its_number_by_whoever_goes_on(path):
    path.write_bytes(b"".join(filled(path, 4)) + HUGE[:-1])
    with pytest.raises(AuditError, match=r"audit.jsonl:5: ") as caught:
        AuditLog(path)
    assert caught.value.reason == "AUDIT_ALTERED"


def test_a_line_that_the_head_does_not_know_is_told_with_its_number(path):
    filled(path, 2)
    before = audit_file.head_path(path).read_bytes()
    line = filled(path, 1)[-1]
    path.write_bytes(path.read_bytes().replace(line, line.replace(b"site-", b"sita-")))
    audit_file.head_path(path).write_bytes(before)
    with pytest.raises(AuditError, match=r"audit.jsonl:3: ") as caught:
        AuditLog(path)
    assert caught.value.reason == "AUDIT_ALTERED"


def test_a_log_in_which_nothing_was_written_is_gone_on_with(path):
    for count in (0, 0, 2):
        filled(path, count)
    assert verify_audit(path).lines == 2


def test_another_chain_is_not_called_torn(path, tmp_path):
    filled(path)
    filled(tmp_path / "other.jsonl", 5)
    path.write_bytes((tmp_path / "other.jsonl").read_bytes() + b"{")
    with pytest.raises(AuditError) as caught:
        verify_audit(path)
    assert caught.value.reason == "AUDIT_TRUNCATED"


def test_a_log_that_is_a_pipe_is_not_waited_for(path):
    filled(path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(AuditError, match="not a regular file") as caught:
        verify_audit(path)
    assert (caught.value.reason, bool(caught.value.hint)) == ("AUDIT_READ", True)
    with pytest.raises(AuditError, match="not a regular file") as caught:
        AuditLog(path)
    assert caught.value.reason == "AUDIT_WRITE"


def test_whatever_is_wrong_with_a_log_there_is_a_mend(path):
    content, head = filled(path), audit_file.head_path(path)
    for spoil in (
        lambda: path.write_bytes(content[0].replace(b"site-", b"sita-")),
        lambda: path.write_bytes(b"".join(content[1:])),
        lambda: path.write_bytes(content[0]),
        lambda: head.write_bytes(head.read_bytes().replace(b" ", b"", 1)),
        lambda: head.write_bytes(b""),
        head.unlink,
    ):
        spoil()
        with pytest.raises(AuditError) as caught:
            verify_audit(path)
        assert caught.value.hint, caught.value.reason
