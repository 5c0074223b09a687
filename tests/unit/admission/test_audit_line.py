# SPDX-License-Identifier: Apache-2.0
"""One line about an MMAR: named after two ways in that wrote two shapes of it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from mmar_runner.admission.audit_line import MmarLine, OwnLog
from mmar_runner.errors import NotAuthorizedError, StorageError
from mmar_runner.security.audit.reading import read_audit
from mmar_runner.security.identity import Role
from mmar_runner.security.kits.kit import load_kit

FACTS = {"site", "digest", "signers", "message"}


class Heard:
    """Remembers lines."""

    def __init__(self):
        self.lines = []

    def record(self, action, decision, reason="", **facts):
        self.lines.append((action, decision, reason, facts))


@pytest.fixture
def kit(kits):
    return load_kit(kits.client("site-1"), Role.CLIENT, now=datetime.now(UTC))


def test_what_is_refused_before_it_is_known_has_the_facts_of_what_is_accepted(kit):
    log = Heard()
    MmarLine(log, "run", kit).refused("PACKAGE_UNSAFE", "no")
    line = MmarLine(log, "run", kit)
    line.digest = "d" * 64
    line.accepted()
    assert [(action, decision, reason) for action, decision, reason, _ in log.lines] == [
        ("mmar.run", "refused", "PACKAGE_UNSAFE"),
        ("mmar.run", "accepted", ""),
    ]
    assert all(set(facts) == FACTS for *_, facts in log.lines)
    assert [facts["digest"] for *_, facts in log.lines] == ["", "d" * 64]
    assert {facts["site"] for *_, facts in log.lines} == {"site-1"}


def test_only_the_errors_that_are_refusals_are_written_and_all_are_passed_on(kit):
    log = Heard()
    line = MmarLine(log, "run", kit)
    with pytest.raises(StorageError), line.written_on_refusal(NotAuthorizedError):
        raise StorageError("full")
    assert not log.lines
    with pytest.raises(NotAuthorizedError), line.written_on_refusal(NotAuthorizedError):
        raise NotAuthorizedError("no", reason="BYOC")
    assert [(reason, facts["message"]) for _, _, reason, facts in log.lines] == [("BYOC", "no")]


def test_the_owners_log_says_who_was_asked_and_goes_on_with_its_chain(kit, tmp_path: Path):
    log = OwnLog(tmp_path / "audit.jsonl", kit)
    log.record("mmar.run", "refused", "BYOC", message="no")
    log.record("mmar.run", "accepted")
    lines = list(read_audit(log.path))
    assert [line["who"] for line in lines] == ["client site-1", "client site-1"]
    assert [line["reason"] for line in lines] == ["BYOC", ""]
