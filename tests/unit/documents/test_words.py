# SPDX-License-Identifier: Apache-2.0
"""What was meant by a word, which letters only look right, and numbers as people read them."""

from __future__ import annotations

import pytest

from mmar_runner.documents.schema_check import faults
from mmar_runner.documents.words import did_you_mean, human_bytes, human_seconds


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("Fed\u0410vg", "Character 4 is U+0410 (cyrillic capital letter a): write 'A'."),
        ("fed\u0430vg", "Character 4 is U+0430 (cyrillic small letter a): write 'A'."),
        ("FedAvg\u200b", "Character 7 is U+200B (zero width space): remove it."),
        ("Fed\u00a0Avg", "Character 4 is U+00A0 (no-break space): remove it."),
        ("Fed\ue000Avg", "Character 4 is U+E000: remove it."),
    ],
)
def test_a_letter_that_only_looks_right_is_named(word, said):
    assert did_you_mean(word, ["FedAvg", "FedProx"]) == f"Did you mean 'FedAvg'? {said}"


@pytest.mark.parametrize("word", ["FedAvq", "F\xe9dAvgg", "FedAv"])
def test_of_another_slip_no_letter_is_named(word):
    assert did_you_mean(word, ["FedAvg"]) == "Did you mean 'FedAvg'?"


@pytest.mark.parametrize(
    ("rule", "value", "said"),
    [
        ({"minItems": 1}, [], ("[] is empty.", "Write at least 1 item.")),
        ({"minLength": 1}, "", ('"" is empty.', "Write a text of at least 1 character.")),
        ({"minProperties": 1}, {}, ("{} is empty.", "Write at least 1 member.")),
        ({"minItems": 2}, [1], ("[1] has fewer than 2 items.", "Write at least 2 items.")),
    ],
)
def test_what_is_too_short_is_told_in_grammar(rule, value, said):
    (fault,) = faults(rule, value)

    assert (fault.message, fault.hint) == said


@pytest.mark.parametrize(
    ("items", "value", "hint"),
    [
        ({"type": "object"}, {"name": "A"}, "Put [ ] around it."),
        ({"type": "number"}, {"name": "A"}, "Write a list."),
        ({"type": "object"}, {}, "Write a list."),
        ({"type": "object"}, 3, "Write a list."),
    ],
)
def test_one_object_where_a_list_of_them_belongs_gets_brackets(items, value, hint):
    (fault,) = faults({"type": "array", "items": items}, value)

    assert fault.hint == hint


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (100_000_000, "95.4 MiB"),
        (5 << 40, "5.0 TiB"),
    ],
)
def test_bytes_for_people(count, text):
    assert human_bytes(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0123, "12 ms"), (3.44, "3.4 s"), (125, "2 min 05 s"), (3725, "1 h 02 min")],
)
def test_durations_for_people(seconds, text):
    assert human_seconds(seconds) == text
