# SPDX-License-Identifier: Apache-2.0
"""Writing the audit log: nothing vanishes, whatever the disk does."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys

import pytest

from mmar_runner.errors import AuditError
from mmar_runner.security.audit import file as audit_file
from mmar_runner.security.audit import log as audit_module
from mmar_runner.security.audit.log import AuditLog
from mmar_runner.security.audit.reading import verify_audit
from tests.unit.security.audit.logs import filled, lines


def test_a_second_process_cannot_write_the_same_log(path):
    with AuditLog(path), pytest.raises(AuditError) as caught:
        AuditLog(path)
    assert caught.value.reason == "AUDIT_LOCKED"


def test_a_full_disk_makes_noise_and_loses_nothing(path, monkeypatch, caplog):
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
        with pytest.raises(AuditError, match="written: No space left") as caught:
            log.flush()
        assert caught.value.reason == "AUDIT_WRITE"
        with pytest.raises(AuditError):
            log.record("Register", who="client site-3")
        assert caplog.text.count("No space left") == 1
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


@pytest.mark.parametrize("what", ["log", "head"])
def test_nothing_is_written_to_a_log_that_was_taken_away(path, what):
    taken = path if what == "log" else audit_file.head_path(path)
    with AuditLog(path) as log:
        log.record("Register", who="client site-1")
        log.flush()
        taken.rename(path.with_name("elsewhere"))
        log.record("Register", who="client site-2")
        with pytest.raises(AuditError, match=f"{taken.name}: somebody has removed") as caught:
            log.flush()
        assert caught.value.reason == "AUDIT_ALTERED"
        path.with_name("elsewhere").rename(taken)
        log.flush()
    assert verify_audit(path).lines == 2


def test_what_cannot_be_written_at_the_end_is_told(path, monkeypatch, caplog):
    def fail(_descriptor):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with audit_module.held_open(path) as log:
        monkeypatch.setattr(audit_file.os, "fdatasync", fail)
        log.record("Register", who="client site-1")
    assert "1 events are lost" in caplog.text


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
