# SPDX-License-Identifier: Apache-2.0
"""Open files: what so many clients need is allowed, or refused with what would be possible."""

from __future__ import annotations

import resource

import pytest

from mmar_runner.errors import UsageError
from mmar_runner.server.file_limit import raise_file_limit


@pytest.fixture
def limits(monkeypatch):
    """A process with a limit of its own, and what became of it."""
    held = {"now": (1024, 20_000)}
    monkeypatch.setattr(resource, "getrlimit", lambda _: held["now"])
    monkeypatch.setattr(resource, "setrlimit", lambda _, wanted: held.update(now=wanted))
    return held


def test_a_thousand_clients_raise_the_usual_limit(limits):
    connections = raise_file_limit(1000)
    assert limits["now"] == (1000 + 1000 + 512 + 4096, 20_000)
    assert connections == 1000 + 4096


def test_only_who_works_in_a_round_has_an_update_open(limits):
    raise_file_limit(10_000, 100)
    assert limits["now"][0] == 10_000 + 100 + 512 + 4096
    with pytest.raises(UsageError, match="max_num_clients is 10000") as refused:
        raise_file_limit(10_000)
    assert refused.value.reason == "FILE_LIMIT"
    assert "at most 9744" in str(refused.value.hint)


def test_what_is_too_many_is_called_what_was_given(limits):
    with pytest.raises(UsageError, match="--clients is 30000") as refused:
        raise_file_limit(30_000, 100, said="--clients")
    assert "set --clients to at most 19388" in str(refused.value.hint)
