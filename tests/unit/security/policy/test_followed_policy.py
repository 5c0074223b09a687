# SPDX-License-Identifier: Apache-2.0
"""What a site blocks while an MMAR runs."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from mmar_runner.errors import NotAuthorizedError
from mmar_runner.security.policy.edit import record_digest
from mmar_runner.security.policy.followed import FollowedPolicy

DIGEST, OTHER = "d" * 64, "e" * 64


def blocks(policy: FollowedPolicy, digest: str = DIGEST) -> bool:
    try:
        policy.require_unblocked(digest)
    except NotAuthorizedError as error:
        return error.reason == "DIGEST_BLOCKED"
    return False


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]


def test_what_is_blocked_meanwhile_is_refused_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "site_policy.json"
    policy = FollowedPolicy(path)
    assert not blocks(policy)
    record_digest(path, DIGEST, "block")
    assert blocks(policy)
    assert not blocks(policy, OTHER)
    record_digest(path, DIGEST, "accept")
    assert not blocks(policy)


@pytest.mark.parametrize("harm", ["{", '{"version": 1, "blocked": []}', None])
def test_a_policy_that_breaks_is_told_once_and_what_was_blocked_stays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, harm: str | None
) -> None:
    path = tmp_path / "site_policy.json"
    record_digest(path, DIGEST, "block")
    policy = FollowedPolicy(path)
    assert blocks(policy)
    path.unlink() if harm is None else path.write_text(harm)
    assert [blocks(policy) for _ in range(3)] == [True] * 3
    (told,) = warnings(caplog)
    assert "stays as it was" in told
    path.write_text(json.dumps({"version": 1, "blocked_digests": [OTHER]}))
    assert blocks(policy, OTHER)
    assert not blocks(policy)
    assert ["can be used again" in one for one in warnings(caplog)] == [False, True]
