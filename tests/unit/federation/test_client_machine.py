# SPDX-License-Identifier: Apache-2.0
"""Every reason that the wire knows has a reaction, and an unknown one ends the knocking."""

from __future__ import annotations

import pytest

from mmar_runner.federation.client_machine import MAX_SENDS, Reaction, reaction_to


@pytest.mark.parametrize(
    ("reason", "reaction"),
    [
        ("TOKEN_INVALID", Reaction.REGISTER),
        ("TOKEN_EXPIRED", Reaction.REGISTER),
        ("TOKEN_NOT_BOUND", Reaction.REGISTER),
        ("CERT_EXPIRED", Reaction.RENEW),
        ("CERT_REVOKED", Reaction.GIVE_UP),
        ("CERT_NOT_YET_VALID", Reaction.GIVE_UP),
        ("ROLE", Reaction.GIVE_UP),
        ("NAME_MISMATCH", Reaction.GIVE_UP),
        ("RATE_LIMITED", Reaction.RETRY),
        ("OVERLOADED", Reaction.RETRY),
        ("TOO_MANY_CALLS", Reaction.RETRY),
        ("TOO_MANY_UPLOADS", Reaction.RETRY),
        ("TOO_SLOW", Reaction.RETRY),
        ("STORAGE", Reaction.RETRY),
        ("DISK_FULL", Reaction.RETRY),
        ("AUDIT_WRITE", Reaction.RETRY),
        ("AUDIT_OVERLOADED", Reaction.RETRY),
        ("SERVER_STOPPING", Reaction.RETRY),
        ("DIGEST", Reaction.RESEND),
        ("RUN_OVER", Reaction.LISTEN),
        ("NAME_TAKEN", Reaction.GIVE_UP),
        ("ROUND_MISMATCH", Reaction.GIVE_UP),
        ("NON_FINITE", Reaction.GIVE_UP),
        ("NEVER_HEARD_OF", Reaction.GIVE_UP),
    ],
)
def test_reactions(reason, reaction):
    assert reaction_to(reason) is reaction


def test_what_was_damaged_is_sent_three_times_in_all_as_the_page_of_errors_says():
    assert MAX_SENDS == 3
