# SPDX-License-Identifier: Apache-2.0
"""How much of failed tasks' logs one client puts on record."""

from mmar_runner.server.calls.failure_logs import ROUNDS_WITH_LOG, FailureLogs


def test_a_client_that_fails_in_every_round_keeps_its_first_logs() -> None:
    logs = FailureLogs()
    kept = [logs.kept("site-1", number, [f"why {number}"]) for number in range(100)]
    assert kept[:ROUNDS_WITH_LOG] == [(f"why {n}",) for n in range(ROUNDS_WITH_LOG)]
    assert set(kept[ROUNDS_WITH_LOG:]) == {()}
    assert logs.kept("site-1", 0, ["a second time"]) == ("a second time",)
    assert logs.kept("site-2", 99, ["another"]) == ("another",)


def test_a_failure_without_lines_costs_nothing() -> None:
    logs = FailureLogs()
    for number in range(ROUNDS_WITH_LOG):
        assert logs.kept("site-1", number, []) == ()
    assert logs.kept("site-1", 99, ["why"]) == ("why",)
