# SPDX-License-Identifier: Apache-2.0
"""What repeats is counted, and written once."""

from __future__ import annotations

import pytest

from mmar_runner.security.audit.log import AuditLog
from mmar_runner.security.audit.reading import verify_audit
from mmar_runner.security.audit.repeats import ORDINARY_LINES, WINDOW_SECONDS
from tests.unit.security.audit.logs import lines, refused


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
