# SPDX-License-Identifier: Apache-2.0
"""Functions as text mean on today's engines what they meant on those of their time."""

from __future__ import annotations

import pytest
import torch
from monai.data import MetaTensor

from mmar_runner.errors import FormatError
from mmar_runner_monai.functions import read_functions

PAIR = {"output_transform": "lambda x: (x['pred'], x['label'])", "name": "no function"}


def read(text, *, once=False):
    return read_functions({"f": text}, once=once)["f"]


def test_only_functions_are_read() -> None:
    assert read_functions(PAIR, once=False).keys() == {"output_transform"}


def test_a_batch_taken_apart_gives_a_list_of_each() -> None:
    samples = [{"pred": torch.ones(2), "label": torch.zeros(2)} for _ in range(3)]
    outputs, targets = read(PAIR["output_transform"])(samples)
    assert len(outputs) == len(targets) == 3


def test_what_every_sample_has_alike_is_taken_once() -> None:
    samples = [{"loss": torch.tensor(0.5), "n": 3, "pred": torch.ones(2)}] * 2
    assert read("lambda x: x['loss']", once=True)(samples) == 0.5
    assert read("lambda x: {'a': x['n']}", once=True)(samples) == {"a": 3}
    assert len(read("lambda x: x['pred']", once=True)(samples)) == 2
    assert len(read("lambda x: x['loss']")(samples)) == 2
    assert read("lambda x: None", once=True)(samples) is None
    assert read("lambda x: x['loss']", once=True)(samples[0]) == 0.5


def test_an_images_header_is_found_by_its_older_name() -> None:
    image = MetaTensor(torch.ones(1, 2), meta={"filename_or_obj": "a.nii"})
    header = read("lambda x: x['image_meta_dict']")
    assert [one["filename_or_obj"] for one in header([{"image": image}])] == ["a.nii"]
    assert header({"image": image, "image_meta_dict": 7}) == 7
    with pytest.raises(KeyError, match="label_meta_dict"):
        read("lambda x: x['label_meta_dict']")({"image": image})


def test_another_shape_is_refused() -> None:
    with pytest.raises(FormatError, match="nothing is called here"):
        read("lambda x: open(x)")
