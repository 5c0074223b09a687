# SPDX-License-Identifier: Apache-2.0
"""How a run stands is one word, and what follows from it is decided in one place."""

import json

import pytest

from mmar_runner.federation.run_status import RunStatus, run_end


@pytest.mark.parametrize(
    ("status", "resumable", "exit_code"),
    [
        (RunStatus.RUNNING, True, 3),
        (RunStatus.FINISHED, False, 0),
        (RunStatus.FAILED, False, 1),
        (RunStatus.STOPPED, True, 3),
    ],
)
def test_what_follows_from_a_status(status: RunStatus, resumable: bool, exit_code: int) -> None:
    assert (status.resumable, status.exit_code) == (resumable, exit_code)


def test_a_status_is_its_word_for_whoever_compares_or_writes_it() -> None:
    assert RunStatus.FINISHED == "finished"
    assert {"finished": 1}[RunStatus.FINISHED] == 1
    assert f"{RunStatus.FAILED}" == "failed"
    assert json.dumps([RunStatus.STOPPED]) == '["stopped"]'


@pytest.mark.parametrize("status", [s for s in RunStatus if s is not RunStatus.RUNNING])
def test_an_end_is_read_from_its_word(status: RunStatus) -> None:
    assert run_end(status.value) is status


@pytest.mark.parametrize("word", ["running", "", "Finished", "finishd", "left"])
def test_another_word_is_no_end(word: str) -> None:
    with pytest.raises(ValueError, match=repr(word)):
        run_end(word)


def test_the_words_of_summary_json() -> None:
    assert {status.value for status in RunStatus} == {"running", "finished", "stopped", "failed"}
