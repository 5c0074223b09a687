# SPDX-License-Identifier: Apache-2.0
"""What nobody foresaw is told in full, and not as often as a peer likes."""

from __future__ import annotations

import pytest

from mmar_runner.wire.faults import SILENT_SECONDS, Faults


def caught(number: int) -> Exception:
    try:
        if number:
            raise ValueError(f"number {number}")  # noqa: TRY301 - its traceback is wanted
        raise KeyError(number)  # noqa: TRY301
    except (ValueError, KeyError) as error:
        return error


def test_a_cause_is_told_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    faults = Faults(clock=lambda: now)
    for number in range(1, 1000):
        faults.tell("SendResult", caught(number))
    assert len(caplog.records) == 1
    assert caplog.records[0].exc_info
    now = SILENT_SECONDS
    faults.tell("SendResult", caught(1))
    assert len(caplog.records) == 2


def test_another_cause_is_told_beside_it(caplog: pytest.LogCaptureFixture) -> None:
    faults = Faults(clock=lambda: 0.0)
    for _ in range(2):
        faults.tell("SendResult", caught(1))
        faults.tell("Heartbeat", caught(1))
        faults.tell("SendResult", caught(0))
        faults.tell("SendResult", RuntimeError())
    assert len(caplog.records) == 4
