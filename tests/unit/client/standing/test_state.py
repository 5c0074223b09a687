# SPDX-License-Identifier: Apache-2.0
"""What a standing client remembers, and what it says of itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mmar_runner.client.standing.seen import Seen
from mmar_runner.client.standing.state import FILE, StandingState
from mmar_runner.errors import StorageError
from mmar_runner.interfaces.observer import Observation, Topic
from mmar_runner.testing.recorder import Recorder


def test_nothing_is_remembered_at_first(tmp_path: Path) -> None:
    assert StandingState.read(tmp_path) == StandingState()


@pytest.mark.parametrize("processes", [2, None])
def test_another_process_remembers_the_same(tmp_path: Path, processes: int | None) -> None:
    state = StandingState("study", "0" * 64, 3, started=True, processes=processes)
    state.save(tmp_path)
    assert StandingState.read(tmp_path) == state


GOOD = {"mmar": "study", "digest": "0" * 64, "run_number": 3, "started": True, "processes": 1}
DAMAGED = {
    "one_key_more": GOOD | {"hacked": 1},
    "no_object": [],
    "a_number": 5,
    "nothing": None,
    "a_digest_that_climbs": GOOD | {"digest": "../../../etc"},
    "a_name_that_climbs": GOOD | {"mmar": "../evil"},
    "a_run_that_is_a_word": GOOD | {"run_number": "3"},
    "a_run_below_none": GOOD | {"run_number": -1},
    "started_perhaps": GOOD | {"started": "no"},
    "no_processes": GOOD | {"processes": 0},
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damage_is_told_with_the_mend(tmp_path: Path, case: str) -> None:
    (tmp_path / FILE).write_text(json.dumps(DAMAGED[case]))
    with pytest.raises(StorageError, match="damaged") as error:
        StandingState.read(tmp_path)
    assert "deployed again" in str(error.value.hint)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_a_file_that_is_none_is_told(tmp_path: Path, data: bytes) -> None:
    (tmp_path / FILE).write_bytes(data)
    with pytest.raises(StorageError, match="damaged"):
        StandingState.read(tmp_path)


def observed(*observations: tuple[Topic, dict[str, Any]]) -> tuple[Seen, Recorder]:
    recorder = Recorder()
    seen = Seen(recorder)
    for topic, data in observations:
        seen.observe(Observation(topic, data))
    return seen, recorder


def test_what_was_seen_is_handed_on() -> None:
    _, recorder = observed((Topic.TRAINING, {"round": 1}), (Topic.TRAINED, {"round": 1}))
    assert [one.topic for one in recorder.all()] == [Topic.TRAINING, Topic.TRAINED]


@pytest.mark.parametrize(
    ("topic", "data", "state", "at"),
    [
        (Topic.TRAINING, {"round": 4}, "training", 4),
        (Topic.TRAINED, {"round": 4}, "transferring", 4),
        (Topic.SUBMITTED, {"round": 4}, "idle", 4),
        (Topic.RUN_ENDED, {}, "idle", None),
    ],
)
def test_what_it_is_at(topic: Topic, data: dict[str, Any], state: str, at: int | None) -> None:
    seen, _ = observed((topic, data))
    assert (seen.state, seen.round) == (state, at)


def test_what_went_wrong_is_told_until_something_goes_well() -> None:
    seen, _ = observed((Topic.WAITING, {"message": "the server is away"}))
    assert (seen.state, seen.message) == ("idle", "the server is away")
    seen, _ = observed(
        (Topic.WAITING, {"message": "the server is away"}), (Topic.TRAINING, {"round": 2})
    )
    assert (seen.state, seen.message) == ("training", "")


def test_of_a_task_that_failed_it_says_what_the_site_lets_others_know() -> None:
    """Administrators, and the server that hands their orders on, see what `check_status` says."""
    facts = {"round": 2, "reason": "TASK_FAILED", "message": "no scan of Hans Mueller"}
    seen, recorder = observed((Topic.TASK_FAILED, facts | {"told": "it failed"}))
    assert (seen.state, seen.message) == ("idle", "it failed")
    assert recorder.all()[0].data["message"] == facts["message"]
    seen, _ = observed((Topic.TASK_FAILED, facts))
    assert seen.message == ""
