# SPDX-License-Identifier: Apache-2.0
"""Who cannot send or read what travels in a run does not join it."""

from __future__ import annotations

import pytest

from mmar_runner.errors import RefusedError
from mmar_runner.server.calls.agreement import require_agreement
from mmar_runner.wire.messages import RegisterReply, RegisterRequest

NEW = RegisterRequest(update_codecs=["fp16", "bf16"], compressions=["zstd"])
OLD = RegisterRequest()


def test_where_nothing_is_agreed_on_everybody_joins() -> None:
    require_agreement(RegisterReply(), OLD)
    require_agreement(RegisterReply(), NEW)


def test_who_knows_all_of_it_joins() -> None:
    require_agreement(RegisterReply(update_codec="bf16", compression="zstd"), NEW)


@pytest.mark.parametrize(
    ("welcome", "reason", "mend"),
    [
        (RegisterReply(update_codec="fp16"), "CODEC", "version"),
        (RegisterReply(compression="zstd"), "COMPRESSION", "mmar-runner[zstd]"),
    ],
)
def test_who_does_not_is_told_why_and_how_to_mend_it(
    welcome: RegisterReply, reason: str, mend: str
) -> None:
    with pytest.raises(RefusedError) as error:
        require_agreement(welcome, OLD)
    assert error.value.reason == reason
    assert mend in str(error.value.hint)
