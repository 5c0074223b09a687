# SPDX-License-Identifier: Apache-2.0
"""The audit log: what is written stays, what is altered is found."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmar_runner.errors import AuditError
from mmar_runner.security.audit import file as audit_file
from mmar_runner.security.audit import log as audit_module
from mmar_runner.security.audit.line import NO_LINE, Entry, Link, check_line, clean_data, link
from mmar_runner.security.audit.log import AuditLog
from mmar_runner.security.audit.reading import read_audit, verify_audit
from mmar_runner.security.audit.repeats import ORDINARY_LINES, WINDOW_SECONDS


class Clock:
    def __init__(self):
        self.now = 1_800_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "logs" / "audit.jsonl"


def filled(path, count=5):
    with AuditLog(path) as log:
        for number in range(count):
            log.record("Register", who=f"client site-{number}", peer="ipv4:127.0.0.1:1", n=number)
    return path.read_bytes().splitlines(keepends=True)


def refused(log, **changes):
    facts = {"who": "client site-1", "decision": "refused", "reason": "ROLE", **changes}
    log.record("Register", **facts)


def lines(path):
    return list(read_audit(path))


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


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=600) | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)


@settings(max_examples=100, deadline=None)
@given(who=st.text(max_size=900), values=st.lists(_VALUES, max_size=5))
def test_whatever_is_recorded_can_be_read_again_and_steers_no_screen(who, values):
    facts = clean_data({f"fact_{n}": value for n, value in enumerate(values)})
    entry = Entry(1.0, audit_module.clean_text(who), "", "Register", "noted", "", facts)
    line, end = link(entry, Link())
    value, checked = check_line(line[:-1], Link())
    assert checked == end
    assert len(line) < audit_file.MAX_LINE_BYTES
    assert line.count(b"\n") == 1
    assert all(letter.isprintable() for text in _texts(value) for letter in text)


def _texts(value):
    match value:
        case str():
            yield value
        case dict():
            for key, one in value.items():
                yield from _texts(key)
                yield from _texts(one)
        case list():
            for one in value:
                yield from _texts(one)


@pytest.mark.parametrize("name", ["token", "session_key", "Password", "private_key", "api_secret"])
def test_what_is_named_like_a_secret_is_refused(path, name):
    with AuditLog(path) as log, pytest.raises(AuditError) as caught:
        log.record("Register", who="", **{name: "x"})
    assert caught.value.reason == "AUDIT_SECRET"
    assert lines(path) == []


def test_secrets_that_hide_deeper_are_withheld(path):
    key = "-----BEGIN PRIVATE KEY-----\nMC4CAQ"
    with AuditLog(path) as log:
        log.record("Register", who=key, peer=key, facts={"token": "hunter2", "text": key})
    assert b"hunter2" not in path.read_bytes()
    assert b"MC4CAQ" not in path.read_bytes()


def test_refusals_that_repeat_are_counted_and_written_once(path, clock):
    with AuditLog(path, clock=clock) as log:
        for _ in range(10):
            refused(log)
        refused(log, who="client site-2")
        refused(log, reason="CERT_EXPIRED")
        log.flush()
        clock.now += 1
        refused(log)
    found = [(line["who"], line["reason"], line["data"]) for line in lines(path)]
    assert found == [
        ("client site-1", "ROLE", {}),
        ("client site-2", "ROLE", {}),
        ("client site-1", "CERT_EXPIRED", {}),
        ("client site-1", "ROLE", {"repeated": 9}),
        ("client site-1", "ROLE", {}),
    ]


def test_a_window_ends_by_itself(path, clock):
    with AuditLog(path, clock=clock) as log:
        refused(log)
        clock.now += 59
        refused(log)
        clock.now += 2
        log.record("Heartbeat", who="client site-2")
        refused(log)
    found = [(line["action"], line["data"]) for line in lines(path)]
    assert sorted(found, key=str) == [
        ("Heartbeat", {}),
        ("Register", {"repeated": 1}),
        ("Register", {}),
        ("Register", {}),
    ]


def test_a_window_ends_though_nobody_calls_any_more(path, monkeypatch):
    monkeypatch.setattr("mmar_runner.security.audit.repeats.WINDOW_SECONDS", 0.2)
    with AuditLog(path) as log:
        refused(log)
        refused(log)
        with log._changed:
            assert log._changed.wait_for(lambda: log._file.end.count == 2, timeout=30)


def test_what_is_accepted_is_told_in_order(path, clock):
    told = ["Register", "leave", "Register", "session.replaced", "leave", "Register"]
    with AuditLog(path, clock=clock) as log:
        for action in told:
            log.record(action, who="client site-1", client="site-1")
    assert [line["action"] for line in lines(path)] == told


@pytest.mark.parametrize("decision", ["accepted", "noted"])
def test_what_is_accepted_without_end_is_counted_too(path, clock, decision):
    """Whatever a caller says differently each time: it is one kind."""
    with AuditLog(path, clock=clock) as log:
        for number in range(1000):
            facts = {"digest": str(number), "message": "m" * number, "offset": number}
            log.record("Decline", who="client 1", decision=decision, reason=f"R{number}", **facts)
        log.record("Decline", who="client 2", decision=decision)
    found = lines(path)
    assert len(found) == ORDINARY_LINES + 2
    assert sum(line["data"].get("repeated", 1) for line in found) == 1001
    (counted,) = (line for line in found if "repeated" in line["data"])
    assert (counted["reason"], counted["data"]["offset"]) == ("R999", 999)
    assert verify_audit(path).lines == len(found)


def test_every_instance_of_a_site_has_its_line(path, clock):
    with AuditLog(path, clock=clock) as log:
        for number in range(17):
            log.record("Register", who="client site-1", client=f"site-1_{number}")
    assert len(lines(path)) == 17


def test_counting_what_is_accepted_begins_anew_with_every_window(path, clock):
    with AuditLog(path, clock=clock) as log:
        for _ in range(2):
            for _ in range(20):
                log.record("GetPackage", who="client site-1")
            clock.now += WINDOW_SECONDS
    repeated = [line["data"].get("repeated", 0) for line in lines(path)]
    once = [0] * ORDINARY_LINES + [20 - ORDINARY_LINES]
    assert repeated == once * 2


def test_many_kinds_of_refusals_are_bounded_and_none_is_lost(path, clock, monkeypatch):
    monkeypatch.setattr("mmar_runner.security.audit.repeats.MAX_KINDS", 10)
    with AuditLog(path, clock=clock) as log:
        for number in range(50):
            refused(log, who=f"client {number}")
            refused(log, who=f"client {number}")
        assert len(log._repeats._windows) <= 10
    assert len(lines(path)) == 100


def test_a_second_process_cannot_write_the_same_log(path):
    with AuditLog(path), pytest.raises(AuditError) as caught:
        AuditLog(path)
    assert caught.value.reason == "AUDIT_LOCKED"


def test_a_full_disk_makes_noise_and_loses_nothing(path, monkeypatch):
    write, full = os.write, True

    def half(descriptor, data):
        if full:
            write(descriptor, bytes(data)[:20])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, data)

    with AuditLog(path) as log:
        log.record("Register", who="client site-1")
        log.flush()
        monkeypatch.setattr(audit_file.os, "write", half)
        log.record("Register", who="client site-2")
        with pytest.raises(AuditError, match="No space left") as caught:
            log.flush()
        assert caught.value.reason == "AUDIT_WRITE"
        with pytest.raises(AuditError):
            log.record("Register", who="client site-3")
        assert verify_audit(path).lines == 1
        full = False
        log.flush()
        log.record("Register", who="client site-4")
    assert [line["who"][-1] for line in lines(path)] == ["1", "2", "3", "4"]


def test_close_tells_how_much_was_lost(path, monkeypatch):
    log = AuditLog(path)

    def fail(descriptor):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(audit_file.os, "fdatasync", fail)
    log.record("Register", who="client site-1")
    with pytest.raises(AuditError, match="1 events are lost"):
        log.close()


def test_more_than_can_wait_is_refused(path, monkeypatch):
    monkeypatch.setattr(audit_module, "MAX_WAITING", 3)
    with AuditLog(path) as log:
        with log._changed:  # the thread cannot begin
            for _ in range(3):
                log.record("Register", who="")
            with pytest.raises(AuditError) as caught:
                log.record("Register", who="")
        assert caught.value.reason == "AUDIT_OVERLOADED"
    assert len(lines(path)) == 3


def test_what_somebody_else_writes_into_the_file_is_noticed(path):
    with AuditLog(path) as log:
        log.record("Register", who="client site-1")
        log.flush()
        with path.open("ab") as file:
            file.write(b"{}\n")
        log.record("Register", who="client site-2")
        with pytest.raises(AuditError) as caught:
            log.flush()
        assert caught.value.reason == "AUDIT_ALTERED"
        path.write_bytes(path.read_bytes()[:-3])
        log.flush()
    assert verify_audit(path).lines == 2


def test_a_closed_log_takes_no_more(path):
    log = AuditLog(path)
    log.close()
    log.close()
    with pytest.raises(AuditError) as caught:
        log.record("Register", who="")
    assert caught.value.reason == "AUDIT_CLOSED"


def test_a_log_can_be_verified_while_it_is_written(path):
    with AuditLog(path) as log:
        for number in range(300):
            log.record("Register", who=str(number))
            if number % 50 == 0:
                verify_audit(path)
    assert verify_audit(path).lines == 300


def test_what_was_flushed_survives_kill_nine(path):
    program = (
        "import sys; from pathlib import Path\n"
        "from mmar_runner.security.audit.log import AuditLog\n"
        "log = AuditLog(Path(sys.argv[1]))\n"
        "for n in range(20): log.record('Register', who=f'client {n}')\n"
        "log.flush(); print('flushed', flush=True); sys.stdin.read()\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, stdin=subprocess.PIPE
    )
    with child:
        assert child.stdout.readline() == b"flushed\n"
        child.send_signal(signal.SIGKILL)
    assert verify_audit(path).lines == 20
    filled(path, 1)
    assert verify_audit(path).lines == 21


def test_a_process_that_forgets_to_close_loses_nothing(path):
    program = (
        "import sys; from pathlib import Path\n"
        "from mmar_runner.security.audit.log import AuditLog\n"
        "AuditLog(Path(sys.argv[1])).record('Register', who='client 1')\n"
    )
    subprocess.run([sys.executable, "-c", program, str(path)], check=True)
    assert verify_audit(path).lines == 1


def test_lines_are_json(path):
    for line in filled(path):
        assert json.loads(line)["action"] == "Register"
