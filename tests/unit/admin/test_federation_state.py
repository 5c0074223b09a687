# SPDX-License-Identifier: Apache-2.0
"""What a standing server remembers is whole, or is refused with a mend."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from mmar_runner.admin.runs.federation_state import FILE, RunEntry, StateFile
from mmar_runner.errors import OrderError, StorageError


def filled(folder: Path) -> StateFile:
    kept = StateFile(folder)
    kept.state.run_number = 2
    kept.state.runs = {
        number: RunEntry(number, "lead@a.org", "a.org", "study", "0" * 64, started=number == 2)
        for number in (2, 1)
    }
    kept.state.timeout = 33.5
    kept.save()
    return kept


def test_a_server_that_remembers_nothing_begins_with_nothing(tmp_path: Path) -> None:
    state = StateFile(tmp_path).state
    assert (state.run_number, state.runs, state.queue, state.current) == (None, {}, [], None)
    assert not (tmp_path / FILE).exists()


def test_another_process_remembers_the_same(tmp_path: Path) -> None:
    kept, again = filled(tmp_path), StateFile(tmp_path)
    assert asdict(again.state) == asdict(kept.state)
    assert again.state.current is again.state.runs[2]


def changed(**facts: Any) -> Any:
    return lambda value: value | facts


def of_a_run(**facts: Any) -> Any:
    return lambda value: value | {"runs": [value["runs"][0] | facts]}


DAMAGE = {
    "another_version": changed(version=2),
    "one_key_more": changed(hacked=True),
    "a_run_that_is_a_word": changed(run_number="two"),
    "a_run_below_one": changed(run_number=0),
    "no_timeout": changed(timeout=None),
    "a_timeout_without_end": changed(timeout=math.inf),
    "runs_that_are_none": changed(runs={}),
    "no_owner": of_a_run(owner=None),
    "a_number_that_is_none": of_a_run(number="../2"),
    "a_digest_that_climbs": of_a_run(digest="../../../etc"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damage_is_told_with_the_mend(tmp_path: Path, case: str) -> None:
    filled(tmp_path)
    path = tmp_path / FILE
    path.write_text(json.dumps(DAMAGE[case](json.loads(path.read_bytes()))))
    with pytest.raises(StorageError, match=r"federation\.json") as error:
        StateFile(tmp_path)
    assert "restore it from a copy" in str(error.value.hint)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b"\xff", b'{"version": 1}'])
def test_a_file_that_is_none_is_told(tmp_path: Path, data: bytes) -> None:
    (tmp_path / FILE).write_bytes(data)
    with pytest.raises(StorageError):
        StateFile(tmp_path)


def test_a_file_that_was_cut_anywhere_is_told(tmp_path: Path) -> None:
    filled(tmp_path)
    whole = (tmp_path / FILE).read_bytes()
    for length in range(1, len(whole.rstrip()) - 1, 7):
        (tmp_path / FILE).write_bytes(whole[:length])
        with pytest.raises(StorageError):
            StateFile(tmp_path)


def test_what_could_not_be_read_again_is_not_added(tmp_path: Path) -> None:
    """Whoever orders much must not keep the server from starting again."""
    kept = StateFile(tmp_path)
    order, clients = "A" * 87_000, [f"site-1_{number:036}" for number in range(990)]

    def remember(most: int) -> None:
        for number in range(1, most):
            kept.require_room()
            run = RunEntry(number, "lead@a.org", "a.org", "study", "0" * 64)
            run.order, run.targets = order, clients
            kept.state.runs[number] = run
            kept.save()

    with pytest.raises(OrderError) as refused:
        remember(500)
    assert refused.value.reason == "QUEUE_FULL"
    assert len(StateFile(tmp_path).state.runs) == len(kept.state.runs)

    del kept.state.runs[1]
    kept.save()
    StateFile(tmp_path).require_room()
