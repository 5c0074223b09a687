# SPDX-License-Identifier: Apache-2.0
"""What a client is at is one word, the same in status.json and for whoever reads it."""

import json

import pytest

from mmar_runner.documents.schema_store import load_schema
from mmar_runner.federation.client_status import ClientStatus


def test_the_words_are_those_of_the_schema() -> None:
    clients = load_schema("run_status")["properties"]["clients"]["items"]["properties"]
    words = {status.value for status in ClientStatus}
    assert words == {*clients["state"]["enum"], "unknown"}


def test_a_member_is_its_word_for_whoever_compares_or_writes_it() -> None:
    assert ClientStatus.TRAINING == "training"
    assert json.dumps([ClientStatus.DONE]) == '["done"]'


@pytest.mark.parametrize("word", ["dancing", "", "Idle", "training "])
def test_a_word_that_is_none_is_unknown(word: str) -> None:
    assert ClientStatus(word) is ClientStatus.UNKNOWN


def test_whoever_trains_or_validates_is_at_work() -> None:
    at_work = {status for status in ClientStatus if status.at_work}
    assert at_work == {ClientStatus.TRAINING, ClientStatus.VALIDATING}
