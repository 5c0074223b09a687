# SPDX-License-Identifier: Apache-2.0
"""What a console says of a folder before anything of it is packed and sent."""

from __future__ import annotations

from typing import Any

import pytest

from mmar_runner.console.moving import moving
from mmar_runner.errors import MmarRunnerError

NO_SESSION: Any = None


async def refused(folder) -> MmarRunnerError:
    with pytest.raises(MmarRunnerError) as caught:
        async for _ in moving(NO_SESSION, ("upload", str(folder))):
            pass
    return caught.value


async def test_a_folder_that_is_not_there(tmp_path):
    error = await refused(tmp_path / "study")
    assert (error.reason, "is no folder" in error.message) == ("MMAR_UNREADABLE", True)


async def test_a_folder_that_is_no_mmar(tmp_path):
    (tmp_path / "holiday.jpg").write_bytes(b"sun")
    error = await refused(tmp_path)
    assert (error.reason, "config/" in error.message) == ("MMAR_UNREADABLE", True)


async def test_an_mmar_that_nobody_signed(tmp_path):
    (tmp_path / "study" / "config").mkdir(parents=True)
    error = await refused(tmp_path / "study")
    assert error.reason == "SIGNATURE_MISSING"
    assert "sign-mmar study" in error.hint
