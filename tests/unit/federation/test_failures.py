# SPDX-License-Identifier: Apache-2.0
"""Failures of one round, told apart."""

from mmar_runner.federation.failures import Failures


def test_a_failure_is_known_by_round_client_and_cause():
    failures = Failures()
    assert failures.note(0, "A", "site-1") == ""
    assert failures.note(0, "A", "site-2") == ""
    assert failures.note(0, "A", "site-1") == "same"
    assert failures.note(0, "B", "site-1") == "another"
    assert failures.note(1, "B", "site-1") == ""
