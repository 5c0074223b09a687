# SPDX-License-Identifier: Apache-2.0
"""Audit logs for tests: one that is filled, what is refused in one, its lines."""

from __future__ import annotations

from mmar_runner.security.audit.log import AuditLog
from mmar_runner.security.audit.reading import read_audit


class Clock:
    def __init__(self):
        self.now = 1_800_000_000.0

    def __call__(self):
        return self.now


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
