# SPDX-License-Identifier: Apache-2.0
"""In what a model and a network differ."""

from mmar_runner.deep.comparing import Sort, differences
from mmar_runner.interfaces.network_facts import TensorFacts


def tensors(**stated):
    return {name: TensorFacts(dtype, tuple(shape)) for name, (dtype, shape) in stated.items()}


MODEL = tensors(w=("F32", [4, 3]), b=("F32", [4]), n=("I64", []))


def test_what_is_alike_differs_in_nothing():
    assert differences(MODEL, dict(reversed(MODEL.items()))) == []


def test_every_sort_of_difference_is_told_with_the_names_and_the_first_pair():
    network = tensors(w=("F32", [5, 3]), b=("F16", [4]), more=("F32", [1]))

    found = {one.sort: one for one in differences(MODEL, network)}

    assert {sort: one.names for sort, one in found.items()} == {
        Sort.MISSING: ("n",),
        Sort.SHAPE: ("w",),
        Sort.DTYPE: ("b",),
        Sort.EXTRA: ("more",),
    }
    said = [found[sort].sentence("the model", "the network") for sort in Sort]
    assert said == [
        "the model has 1 tensor that the network lacks: n.",
        "1 tensor has another shape: w is F32[4, 3] in the model and F32[5, 3] in the network.",
        "1 tensor has another element type: b is F32[4] in the model and F16[4] in the network.",
        "the network has 1 tensor that the model lacks: more.",
    ]


def test_of_many_names_the_first_few_are_told_and_their_number():
    model = {f"layer{index}": TensorFacts("F32", (index,)) for index in range(9)}

    (missing,) = differences(model, {})

    assert missing.sentence("the model", "the network") == (
        "the model has 9 tensors that the network lacks: layer0, layer1, layer2 and 6 more."
    )


def test_a_tensor_of_another_shape_and_type_is_told_of_both():
    found = differences(tensors(w=("F32", [2])), tensors(w=("F16", [3])))

    assert [one.sort for one in found] == [Sort.SHAPE, Sort.DTYPE]


def test_companions_are_no_tensors_of_a_network():
    accompanied = {**MODEL, "control_variate/w": MODEL["w"]}

    assert differences(accompanied, MODEL) == []


def test_a_name_of_any_length_makes_no_sentence_of_any_length():
    (missing,) = differences({"x" * 10_000: TensorFacts("F32")}, {})

    assert len(missing.sentence("a", "b")) < 300
