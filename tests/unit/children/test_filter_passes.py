# SPDX-License-Identifier: Apache-2.0
"""Files on their way through filters that see differences, and measure before they change."""

from __future__ import annotations

from contextlib import nullcontext

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from mmar_runner.children.differences import Differences
from mmar_runner.children.filter_passes import Labelled, Passing, send_through
from mmar_runner.errors import TaskFailedError
from mmar_runner.interfaces.aggregator import UpdateKind
from mmar_runner.interfaces.filter import Filter
from mmar_runner.storage.tensor_files import TensorReader, TensorWriter


class Spy(Filter):
    """Remembers what it sees; adds nothing but what it is told."""

    def __init__(self, *, differences=False, passes=0, add=None, to=None):
        self.on_differences = differences
        self.needs_measure = bool(passes)
        self.passes, self.add, self.to = passes, add, to
        self.measured, self.applied = [], []

    def measure(self, name, tensor):
        self.measured.append((name, tensor.copy()))

    def measures_again(self):
        self.passes -= 1
        return self.passes > 0

    def apply(self, name, tensor):
        self.applied.append((name, tensor.copy()))
        if self.to is not None:
            return np.full_like(tensor, self.to)
        return tensor if self.add is None else (tensor + self.add).astype(tensor.dtype)


MODEL = {
    "bools": np.array([True, False, True, False]),
    "counter": np.array(2**60, np.int64),
    "small": np.array([1.0, -0.0, 3e-30, 1e8], np.float32),
    "unsigned": np.array([0, 255], np.uint8),
}
UPDATE = {
    "bools": np.array([True, True, False, False]),
    "counter": np.array(-(2**62), np.int64),
    "small": np.array([1.5, 7.0, 1e8, 3e-30], np.float32),
    "unsigned": np.array([255, 0], np.uint8),
}


@pytest.fixture
def send(tmp_path):
    """Send an update through filters; return what came out."""

    def through(*filters, update=UPDATE, model=MODEL, kind=UpdateKind.WEIGHTS):
        save_file(update, tmp_path / "update")
        save_file(model, tmp_path / "model")
        given = TensorReader(tmp_path / "model") if kind is UpdateKind.WEIGHTS else None
        with given or nullcontext():
            passing = Passing(tmp_path / "update", tmp_path / "out", Differences(given, kind))
            send_through([Labelled("", one) for one in filters], passing)
        assert {path.name for path in tmp_path.iterdir()} == {"update", "model", "out"}
        return load_file(tmp_path / "out")

    return through


def same(first, second):
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert tensor.dtype == second[name].dtype
        assert tensor.tobytes() == second[name].tobytes()


def test_differences_are_wide_and_exact(send):
    spy = Spy(differences=True)
    send(spy)
    seen = dict(spy.applied)
    assert seen["small"].dtype == np.float64
    assert seen["small"].tolist() == [0.5, 7.0, 1e8, float(np.float32(3e-30)) - 1e8]
    assert seen["counter"].dtype == np.int64
    assert seen["bools"].tolist() == [0, 1, -1, 0]
    assert seen["unsigned"].tolist() == [255, -255]


def test_what_nobody_changes_leaves_to_the_bit(send):
    same(send(Spy(differences=True)), UPDATE)
    same(send(Spy(differences=True), Spy(), Spy(differences=True)), UPDATE)


@pytest.mark.parametrize("passes", [0, 1], ids=["one reading", "measured first"])
def test_a_difference_of_zero_is_the_models_value_to_the_bit(send, passes):
    same(send(Spy(differences=True, passes=passes, to=0)), MODEL)


def test_a_changed_difference_is_added_in_the_tensors_own_type(send):
    model = {"half": np.array([1, 2], ml_dtypes.bfloat16), "counter": np.array([250], np.uint8)}
    update = {"half": np.array([2, 2], ml_dtypes.bfloat16), "counter": np.array([251], np.uint8)}
    with_nine = send(Spy(differences=True, add=9), model=model, update=update)
    assert with_nine["half"].astype(float).tolist() == [11, 11]
    assert with_nine["counter"].tolist() == [255]  # and not what is left over of 260


def test_differences_that_the_trainer_sends_are_seen_and_left_as_differences(send):
    spy = Spy(differences=True, add=1)
    update = {"a": np.array([0.5], np.float32), "b": np.array([True])}
    out = send(spy, update=update, kind=UpdateKind.WEIGHT_DIFF)
    assert dict(spy.applied)["a"].dtype == np.float64
    assert out["a"].tolist() == [1.5]
    assert out["b"].tolist() == [True]


def test_a_measuring_filter_sees_all_that_the_ones_before_it_made_before_it_changes_any(send):
    before, measuring, after = Spy(add=1), Spy(passes=2, to=5), Spy()
    update = {"a": np.array([1.0], np.float32), "b": np.array([2.0], np.float32)}
    out = send(before, measuring, after, update=update)
    assert [name for name, _ in measuring.measured] == ["a", "b", "a", "b"]
    assert [float(tensor[0]) for _, tensor in measuring.measured] == [2, 3, 2, 3]
    assert len(before.applied) == 2  # once each, however often the next one measures
    assert [float(tensor[0]) for _, tensor in after.applied] == [5, 5]
    assert out["a"].tolist() == [5]


def test_differences_are_not_rounded_between_filters_that_see_them(send):
    model = {"a": np.array([1e8], np.float32)}
    second = Spy(differences=True, passes=1)
    send(Spy(differences=True, add=1e-3), second, update=model, model=model)
    assert dict(second.applied)["a"].tolist() == [1e-3]


def test_an_update_with_another_tensor_than_the_model_is_said(send):
    with pytest.raises(TaskFailedError, match="has no tensor 'new'"):
        send(Spy(differences=True), update={"new": np.ones(1, np.float32)})
    with pytest.raises(
        TaskFailedError, match=r"'small' was \[4\] in the received model, and \[3\]"
    ):
        send(Spy(differences=True), update={"small": np.ones(3, np.float32)})


class Torn(Spy):
    def measures_again(self):
        raise RuntimeError("torn")


def test_nothing_is_left_beside_of_a_chain_that_fails(tmp_path):
    with TensorWriter(tmp_path / "update", [("a", "F32", (1,))]) as writer:
        writer.write("a", np.ones(1, np.float32))
        writer.commit()
    chain = [
        Labelled("", Spy()),
        Labelled("", Spy(passes=1)),
        Labelled("the filter T", Torn(passes=1)),
    ]
    kind = UpdateKind.WEIGHT_DIFF
    passing = Passing(tmp_path / "update", tmp_path / "out", Differences(None, kind))
    with pytest.raises(TaskFailedError, match="the filter T raised RuntimeError: torn"):
        send_through(chain, passing)
    assert [path.name for path in tmp_path.iterdir()] == ["update"]
