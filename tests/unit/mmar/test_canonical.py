# SPDX-License-Identifier: Apache-2.0
"""What is left out and renamed in a server file: what comes out, every note, where it stood."""

from __future__ import annotations

import json

import pytest

from mmar_runner.documents.json_reader import read_json
from mmar_runner.mmar.document import Document
from mmar_runner.mmar.finding import Findings
from mmar_runner.mmar.sources.canonical import canonical_server
from mmar_runner.mmar.sources.renewal import renew_server

VALUES = {
    "min_num_clients": 3,
    "max_num_clients": 9,
    "wait_after_min_clients": 5,
    "heart_beat_timeout": 60,
    "start_round": 1,
    "num_rounds": 7,
}


def canonical(value):
    source = read_json(json.dumps(value))
    document, findings = Document("file.json", source, source.value), Findings()
    renew_server(document, findings)
    canonical_server(document, findings)
    notes = {f.pointer: (f.code, f.message) for f in findings.result(strict=False)}
    moves = {"/".join(map(str, k)): "/".join(map(str, v)) for k, v in document.moves.items()}
    return document.value, notes, moves


def test_settings_of_the_task_may_stand_at_the_top():
    value, _, moves = canonical({"servers": [{"name": "t"}], **VALUES})

    assert value == {"servers": [{"name": "t", **VALUES}]}
    assert moves == {f"servers/0/{key}": key for key in VALUES}


@pytest.mark.parametrize(
    ("task", "every", "stood"),
    [
        ({"validate_on_server": True}, 1, "validate_on_server"),
        ({"validate_on_server": True, "num_rounds_per_valid": 4}, 4, "num_rounds_per_valid"),
        ({"validate_on_server": False, "num_rounds_per_valid": 4}, None, None),
        ({"validate_on_server": False}, None, None),
    ],
)
def test_validation_on_the_server_is_one_number(task, every, stood):
    value, notes, moves = canonical({"servers": [{"name": "t", **task}]})

    said = "is now 'validate_every'" if every else "has no effect: the server does not validate"
    assert notes == {f"/servers/0/{key}": ("MMAR210", f"'{key}' {said}.") for key in task}
    assert value["servers"] == [{"name": "t"}]
    assert value.get("validate_every") == every
    assert moves.get("validate_every") == (stood and f"servers/0/{stood}")


def test_what_is_neither_true_nor_false_stays_to_be_told():
    task = {"name": "t", "validate_on_server": "yes", "num_rounds_per_valid": 4}

    assert canonical({"servers": [dict(task)]})[0]["servers"] == [task]


@pytest.mark.parametrize(
    "key",
    [
        *("workflow", "clients_per_round", "round_deadline", "max_wait"),
        *("validate_every", "strict", "max_num_samples"),
    ],
)
def test_a_key_of_the_top_level_within_the_task_is_told_where_it_stands(mmar, key):
    mmar.task[key] = 1
    (found,) = (f for f in mmar.findings() if f.code == "MMAR404")

    assert (found.pointer, found.hint) == (
        f"/servers/0/{key}",
        f"'{key}' stands at the top level of the file.",
    )


@pytest.mark.parametrize("version", [3, 0, "1", True])
def test_a_version_that_nobody_knows_is_told(mmar, version):
    mmar.server["format_version"] = version
    found = [(f.code, f.pointer, f.message, f.hint) for f in mmar.findings()]

    message = f"The format_version {version!r} is unknown."
    assert ("MMAR202", "/format_version", message, "Write 1.") in found
