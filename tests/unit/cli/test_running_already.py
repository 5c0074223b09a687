# SPDX-License-Identifier: Apache-2.0
"""Who is started twice is told which process it is that runs already."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mmar_runner.cli.starting import running_already
from mmar_runner.cli.starting.running_already import holder, naming_who_runs
from mmar_runner.errors import AuditError
from mmar_runner.security.audit.log import AuditLog


def opened_twice(log: Path) -> AuditError:
    with (
        AuditLog(log),
        pytest.raises(AuditError) as caught,
        naming_who_runs(log, "is it running already?"),
        AuditLog(log),
    ):
        pass
    return caught.value


def test_a_log_that_another_process_writes_names_it(tmp_path: Path) -> None:
    error = opened_twice(tmp_path / "audit.jsonl")
    assert (error.reason, error.hint) == ("AUDIT_LOCKED", "is it running already?")
    assert error.message.endswith(f"(pid {os.getpid()})")


def test_a_system_that_does_not_say_who_holds_a_lock_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running_already, "_LOCKS", tmp_path / "nowhere")
    error = opened_twice(tmp_path / "audit.jsonl")
    assert "pid" not in error.message
    assert error.hint == "is it running already?"


def test_a_file_that_nobody_holds_has_no_holder(tmp_path: Path) -> None:
    (tmp_path / "free").touch()
    assert holder(tmp_path / "free") is None
    assert holder(tmp_path / "missing") is None


def test_another_error_of_the_log_passes_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(AuditError) as caught, naming_who_runs(tmp_path / "a", "?"):
        raise AuditError("altered", reason="AUDIT_ALTERED", hint="look")
    assert (caught.value.message, caught.value.hint) == ("altered", "look")
