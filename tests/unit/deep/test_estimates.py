# SPDX-License-Identifier: Apache-2.0
"""What a round will move, keep and take, by the sizes of files."""

from __future__ import annotations

import numpy as np
import pytest

from mmar_runner.children.descriptions import RuleFacts
from mmar_runner.deep.asking import Answers
from mmar_runner.deep.estimates import estimates, size_of
from mmar_runner.hooks import load_plugins
from mmar_runner.interfaces.network_facts import NetworkFacts, TensorFacts
from mmar_runner.mmar.validation import validate
from mmar_runner.storage.tensor_files import TensorWriter
from mmar_runner.testing.builders import MmarBuilder

FACTS = NetworkFacts(
    {
        "w": TensorFacts("F32", (40, 30)),
        "b": TensorFacts("F32", (40,)),
        "n": TensorFacts("I64"),
    },
    memory={"weights": 4968, "gradients": 4960},
)
FLOATING = 1240  # numbers of w and b


@pytest.fixture
def server(tmp_path):
    """Return a function that gives what an MMAR says of rounds."""

    def said(**values):
        root = MmarBuilder().server(min_num_clients=3).top_level(**values).write(tmp_path)
        return validate(root, load_plugins().registry).spec.server

    return said


def figures(server, rule=RuleFacts(), companions=(), libraries=100):  # noqa: B008 - a value
    answers = Answers(server=FACTS, client=FACTS, rule=rule, libraries=libraries)
    return {one.what: one for one in estimates(server, answers, companions)}


def file_of(folder, tensors):
    """Return how many bytes a model file of some tensors has."""
    path = folder / "model.safetensors"
    with TensorWriter(path, tensors) as writer:
        for name, dtype, shape in tensors:
            kinds = {"F32": "<f4", "I64": "<i8", "I32": "<i4", "F16": "<f2"}
            writer.write(name, np.zeros(shape, dtype=kinds[dtype]))
        writer.commit()
    return path.stat().st_size


def test_a_model_and_an_update_are_as_large_as_their_files(tmp_path, server):
    listed = [("w", "F32", (40, 30)), ("b", "F32", (40,)), ("n", "I64", ())]
    size = file_of(tmp_path, listed)

    found = figures(server())

    assert found["model_down"].estimate == found["update_up"].estimate == size
    assert found["sent"].estimate == found["received"].estimate == 3 * size
    assert found["disk"].estimate == 6 * size  # of three clients, and three models
    assert found["disk"].parts == {"updates": 3 * size, "models": 3 * size}


def test_an_update_is_shorter_in_a_codec(tmp_path, server):
    found = figures(server(update_codec="fp16"))

    halved = [("w", "F16", (40, 30)), ("b", "F16", (40,)), ("n", "I64", ())]
    assert found["update_up"].estimate == file_of(tmp_path, halved)
    assert found["update_up"].note == "as fp16"


def test_masked_updates_are_whole_numbers(tmp_path, server):
    found = figures(server(), RuleFacts(takes="I32"))

    whole = [("w", "I32", (40, 30)), ("b", "I32", (40,)), ("n", "I32", ())]
    assert found["update_up"].estimate == file_of(tmp_path, whole)


def test_compression_comes_after_what_is_estimated(server):
    assert figures(server(compression="zstd"))["sent"].note == "before zstd compresses it"


def test_control_variates_travel_beside_what_is_not_excluded(tmp_path, server):
    rule = RuleFacts(excluded=frozenset({"b"}))
    found = figures(server(), rule, companions=("control_variate",))

    accompanied = [("w", "F32", (40, 30)), ("b", "F32", (40,)), ("n", "I64", ())]
    accompanied += [("control_variate/w", "F32", (40, 30))]
    assert found["model_down"].estimate == file_of(tmp_path, accompanied)


def test_what_an_aggregator_keeps_lies_on_the_disk_three_times(server):
    plain, kept = figures(server()), figures(server(), RuleFacts(slots=2))

    more = kept["disk"].estimate - plain["disk"].estimate
    assert more == kept["disk"].parts["aggregator"] == 3 * 2 * 8 * FLOATING


def test_more_clients_than_the_minimum_may_be_drawn(server):
    assert figures(server(clients_per_round=7))["disk"].words.endswith("a round of 7 clients")


def test_the_memory_of_a_trainer_is_a_sum_with_its_parts_or_not_known(server):
    known = figures(server())["trainer_memory"]
    assert known.estimate == sum(known.parts.values()) == 100 + 4968 + 4960
    assert figures(server(), libraries=None)["trainer_memory"].estimate is None


def test_of_an_unknown_model_nothing_is_estimated(server):
    assert estimates(server(), Answers(client=FACTS), ()) == []


def test_a_type_that_no_file_holds_counts_nothing():
    facts = NetworkFacts({"z": TensorFacts("C64", (3,)), "w": TensorFacts("F16", (5,))})

    size = size_of(facts)

    assert (size.tensors, size.elements, size.bytes) == (2, 5, 10)
