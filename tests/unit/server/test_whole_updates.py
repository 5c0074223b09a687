# SPDX-License-Identifier: Apache-2.0
"""Updates written whole for a rule in a child, and its result taken back."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from mmar_runner.errors import RunFailedError, SchemaMismatchError
from mmar_runner.interfaces.aggregator import Contribution, UpdateKind
from mmar_runner.server.components.stand import Stand
from mmar_runner.server.rounds import whole_updates
from mmar_runner.server.rounds.aggregation import aggregate
from mmar_runner.server.rounds.update_blocks import Update
from mmar_runner.server.rounds.walk import Combination
from mmar_runner.server.rounds.whole_updates import result_of, write_whole
from mmar_runner.storage.tensor_files import TensorReader
from mmar_runner.testing.contracts.combining import context
from tests.unit.server.test_aggregation import DTYPES, write

WEIGHTS, DIFFERENCE = UpdateKind.WEIGHTS, UpdateKind.WEIGHT_DIFF
MODEL = {
    "f": ("F32", [1.0, 2.0, 3.0]),
    "b": ("BF16", [1.0, -1.0]),
    "d": ("F64", [0.5]),
    "n": ("I64", [7]),
    "u": ("U8", [200]),
    "t": ("BOOL", [True, False]),
}
TRAINED = {
    "f": ("F32", [1.5, 2.0, 2.0]),
    "b": ("BF16", [1.5, -1.0]),
    "d": ("F64", [0.25]),
    "n": ("I64", [9]),
    "u": ("U8", [100]),
    "t": ("BOOL", [False, True]),
}
MADE = {"f": [0.5, 0.0, -1.0], "b": [0.5, 0.0], "d": [-0.25], "n": [2], "u": [-100], "t": [-1, 1]}
#: The element types of a file of differences; of weights they are the model's, but for BF16.
WIDE = {"f": "F32", "b": "F32", "d": "F64", "n": "I64", "u": "I64", "t": "I64"}


def told(path, kind, *, staleness=0, factor=1.0):
    contribution = Contribution("site-1", 8.0, kind, staleness=staleness)
    return Update(contribution, partial(TensorReader, path), factor)


def combination(tmp_path, update, excluded=()):
    base = write(tmp_path / "base", MODEL)
    return Combination(Stand(), base, [update], context(), excluded)


def read(path):
    with TensorReader(path) as reader:
        dtypes = {info.name: info.dtype for info in reader.header.tensors.values()}
        return {name: reader.read(name).tolist() for name in dtypes}, dtypes


def sent(tmp_path, kind):
    """Return an update of a kind that has the same meaning in each."""
    if kind is WEIGHTS:
        return told(write(tmp_path / "sent", TRAINED), kind)
    signed = {n: d for n, d in MADE.items() if n not in {"u", "t"}}  # which hold no sign
    return told(write(tmp_path / "sent", {n: (MODEL[n][0], d) for n, d in signed.items()}), kind)


@pytest.mark.parametrize("elements", [1, 2, 4096])
@pytest.mark.parametrize("kind", [WEIGHTS, DIFFERENCE])
def test_differences_whatever_was_sent(tmp_path, monkeypatch, kind, elements):
    monkeypatch.setattr(whole_updates, "FOLD_ELEMENTS", elements)
    excluded = () if kind is WEIGHTS else ("u", "t")
    update = sent(tmp_path, kind)
    file = tmp_path / "whole"
    write_whole(combination(tmp_path, update, excluded), update, DIFFERENCE, file)
    values, dtypes = read(file)
    assert values == {name: MADE[name] for name in MADE if name not in excluded}
    assert dtypes == {name: WIDE[name] for name in values}


@pytest.mark.parametrize("kind", [WEIGHTS, DIFFERENCE])
def test_weights_whatever_was_sent(tmp_path, kind):
    excluded = () if kind is WEIGHTS else ("u", "t")
    update = sent(tmp_path, kind)
    file = tmp_path / "whole"
    write_whole(combination(tmp_path, update, excluded), update, WEIGHTS, file)
    values, dtypes = read(file)
    assert values == {name: TRAINED[name][1] for name in MADE if name not in excluded}
    assert dtypes == {n: "F32" if n == "b" else MODEL[n][0] for n in values}


def test_an_update_of_an_older_model_counts_less(tmp_path):
    path = write(tmp_path / "sent", {"f": ("F32", [0.5, 0.0, -1.0])})
    update = told(path, DIFFERENCE, staleness=3, factor=0.5)
    others = tuple(name for name in MODEL if name != "f")
    for wants, expected in ((DIFFERENCE, [0.25, 0.0, -0.5]), (WEIGHTS, [1.25, 2.0, 2.5])):
        write_whole(combination(tmp_path, update, others), update, wants, tmp_path / "whole")
        assert read(tmp_path / "whole")[0] == {"f": expected}


def taken(tmp_path, result, kind, left_out=()):
    file = write(tmp_path / "result", {name: ("F64", value) for name, value in result.items()})
    update = sent(tmp_path, WEIGHTS)
    given = result_of(
        combination(tmp_path, update), partial(TensorReader, file), kind, tuple(left_out)
    )
    aggregate(given, tmp_path / "next", durable=False)
    return read(tmp_path / "next")[0]


@pytest.mark.parametrize("kind", [WEIGHTS, DIFFERENCE])
def test_a_result_is_added_or_replaces(tmp_path, kind):
    result = MADE if kind is DIFFERENCE else {n: v for n, (_, v) in TRAINED.items()}
    assert taken(tmp_path, result, kind) == {name: value for name, (_, value) in TRAINED.items()}


def test_what_is_left_out_keeps_its_values(tmp_path):
    others = [name for name in MODEL if name != "d"]
    expected = {name: value for name, (_, value) in MODEL.items()} | {"d": [1.5]}
    assert taken(tmp_path, {"d": [1.0]}, DIFFERENCE, others) == expected


def test_a_result_that_is_not_finite_is_refused(tmp_path):
    with pytest.raises(RunFailedError) as refused:
        taken(tmp_path, {**MADE, "f": [0.0, np.nan, 0.0]}, DIFFERENCE)
    assert refused.value.reason == "NON_FINITE"


@pytest.mark.parametrize("wrong", [{"f": [1.0, 2.0]}, {"g": [1.0]}])
def test_a_result_of_other_tensors_is_refused(tmp_path, wrong):
    kept = {name: value for name, value in MADE.items() if name != "f"}
    with pytest.raises(SchemaMismatchError):
        taken(tmp_path, {**kept, **wrong}, DIFFERENCE)


def test_every_type_is_tried():
    assert {dtype for dtype, _ in MODEL.values()} == set(DTYPES)
