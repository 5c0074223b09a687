# SPDX-License-Identifier: Apache-2.0
"""What just fits has no finding, what just does not has one; filters pair in every order."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("settings", "codes"),
    [
        ({"min_num_clients": 8}, []),
        ({"min_num_clients": 9}, ["MMAR602"]),
        ({"start_round": 2}, []),
        ({"start_round": 3}, ["MMAR603"]),
        ({"start_round": 4}, ["MMAR603"]),
        ({"num_rounds": 1}, []),
        ({"num_rounds": -1}, []),
        ({"start_round": 5, "num_rounds": -1}, []),
        ({"start_round": 5, "num_rounds": -5}, []),
        ({"wait_after_min_clients": 10, "round_deadline": 10}, []),
        ({"wait_after_min_clients": 10, "round_deadline": 9.5}, ["MMAR611"]),
        ({"round_deadline": 9}, []),  # nobody stated the wait
        ({"validate_every": 1}, ["MMAR617"]),
        ({"clients_per_round": 2}, []),
        ({"clients_per_round": 8}, []),
        ({"clients_per_round": 9}, ["MMAR604"]),
        ({"clients_per_round": 1}, ["MMAR604"]),
    ],
)
def test_numbers_that_just_fit(mmar, settings, codes):
    of_top = {"round_deadline", "clients_per_round", "validate_every"}
    mmar.task.update({key: value for key, value in settings.items() if key not in of_top})
    mmar.server.update({key: value for key, value in settings.items() if key in of_top})
    assert [finding.code for finding in mmar.findings()] == codes


@pytest.mark.parametrize(
    ("settings", "pointer", "message", "hint"),
    [
        (
            {"min_num_clients": 9},
            "/servers/0/min_num_clients",
            "min_num_clients (9) is above max_num_clients (8).",
            "Lower the minimum or raise the maximum: no round could ever close.",
        ),
        (
            {"start_round": 3},
            "/servers/0/start_round",
            "Rounds run from start_round (3) to num_rounds - 1 (2): none.",
            "num_rounds is the round to stop at, not a count; at least 4.",
        ),
        (
            {"num_rounds": 0},
            "/servers/0/num_rounds",
            "Rounds run from start_round (0) to num_rounds - 1 (-1): none.",
            "num_rounds is the round to stop at, not a count; at least 1.",
        ),
        (
            {"clients_per_round": 1},
            "/clients_per_round",
            "A round draws 1 clients but needs 2 updates (min_num_clients).",
            "Draw at least 2, or lower min_num_clients.",
        ),
    ],
)
def test_what_a_number_that_does_not_fit_says(mmar, settings, pointer, message, hint):
    of_top = "clients_per_round" in settings
    (mmar.server if of_top else mmar.task).update(settings)
    found = mmar.only()
    assert (found.pointer, found.message, found.hint) == (pointer, message, hint)


def _filters(*names):
    return [{"name": name} if isinstance(name, str) else name for name in names]


def _told(mmar):
    return [
        (finding.file.rpartition("_")[2], finding.pointer, finding.message)
        for finding in mmar.findings()
        if finding.code == "MMAR605"
    ]


OFF = {"name": "Pack", "disabled": True}
SCALE = {"name": "Scale", "args": {"factor": 2}}


@pytest.mark.parametrize(
    ("outbound", "inbound", "told"),
    [
        (["Pack", "Lock"], ["Unlock", "Unpack"], []),
        (["Pack", "Pack"], ["Unpack", "Unpack"], []),
        ([OFF, SCALE, "Lock"], ["Unlock"], []),
        (
            ["Pack", "Lock"],
            ["Unpack", "Unlock"],
            [
                (
                    "server.json",
                    "/inbound_filters/0",
                    "Filters must be undone in reverse order: 'Unlock' comes here.",
                )
            ],
        ),
        (
            ["Pack", "Pack", "Lock"],
            ["Unlock", "Unpack"],
            [
                (
                    "client.json",
                    "/client/outbound_filters/1",
                    "Nothing undoes 'Pack': the server has no 'Unpack'.",
                )
            ],
        ),
        (
            ["Lock"],
            ["Unlock", "Unpack"],
            [("server.json", "/inbound_filters/1", "'Unpack' has nothing to undo.")],
        ),
        (
            [OFF, "Lock", "Pack"],
            [SCALE],
            [
                (
                    "client.json",
                    f"/client/outbound_filters/{index}",
                    f"Nothing undoes '{name}': the server has no 'Un{name.lower()}'.",
                )
                for index, name in ((1, "Lock"), (2, "Pack"))
            ],
        ),
        (
            [{"path": "custom.own.Filter"}, "Pack"],
            [],
            [
                (
                    "client.json",
                    "/client/outbound_filters/1",
                    "Nothing undoes 'Pack': the server has no 'Unpack'.",
                )
            ],
        ),
        ([{"name": "Nobody"}, "Pack"], [], []),  # said already; it may be what is missing
    ],
)
def test_filters_pair_in_reverse_order(mmar, outbound, inbound, told):
    mmar.client["client"]["outbound_filters"] = _filters(*outbound)
    mmar.server["inbound_filters"] = _filters(*inbound)
    assert _told(mmar) == told


def test_a_result_that_an_unknown_processor_may_answer_is_not_missed(mmar):
    mmar.server["result_processors"] = [{"name": "Matrix"}, {"name": "NotHere"}]
    assert mmar.only().code == "MMAR501"
