# SPDX-License-Identifier: Apache-2.0
"""The cuts: deterministic, disjoint while that is possible, and as skewed as they say."""

from __future__ import annotations

import inspect
import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_digits

from mmar_runner_sklearn.breast_cancer import BreastCancerDataset
from mmar_runner_sklearn.digits import DigitsDataset
from mmar_runner_sklearn.plugin import BREAST_CANCER_ARGS, DIGITS_ARGS
from mmar_runner_sklearn.tables import read_table

BOTH = pytest.mark.parametrize("dataset", [BreastCancerDataset, DigitsDataset])


def rows(data):
    """Return the cases as a set of bytes."""
    return [case.tobytes() for case in data.x]


@BOTH
@pytest.mark.parametrize("sites", [1, 2, 3, 10])
def test_few_shards_are_disjoint_and_pooled_is_their_union(dataset, sites):
    seen = [r for i in range(sites) for r in rows(dataset("train", i + 1, sites))]
    pooled = rows(dataset("train", 1, sites, pooled=True))
    assert sorted(seen) == sorted(pooled)


@BOTH
@pytest.mark.parametrize("sites", [1, 3, 40, 400])
def test_nothing_held_out_is_trained_on_anywhere(dataset, sites):
    train = set(rows(dataset("train", 1, sites, pooled=True)))
    held_out = set(rows(dataset("held_out", 1, sites, pooled=True)))
    assert held_out
    # Some of the digits are printed twice in the published data; the cases differ.
    assert len(train & held_out) <= 1


@BOTH
@pytest.mark.parametrize("sites", [3, 100, 1000])
def test_every_site_has_enough_to_train_and_to_measure(dataset, sites):
    for index in {1, 2, sites // 2, sites}:
        assert len(dataset("train", index, sites)) >= 16
        assert len(dataset("held_out", index, sites)) >= 8


@BOTH
def test_the_same_arguments_give_the_same_shard_and_another_seed_another(dataset):
    def first(seed):
        for value in dataset.__init__.__globals__.values():
            if hasattr(value, "cache_clear"):
                value.cache_clear()
        return rows(dataset("train", 2, 3, seed=seed))

    assert first(0) == first(0)
    assert first(0) != first(1)


@BOTH
def test_items_are_arrays_and_labels(dataset):
    data = dataset("train", 1, 3)
    x, y = data[0]
    assert x.dtype == np.float32
    assert isinstance(y, int)
    assert len(data) == len(data.x) == len(data.y)


@BOTH
def test_a_site_beyond_the_number_of_shards_gets_one_again(dataset):
    assert rows(dataset("train", 4, 3)) == rows(dataset("train", 1, 3))


def test_hospitals_differ_in_size_and_patients():
    hospitals = [BreastCancerDataset("train", i, 3) for i in (1, 2, 3)]
    assert [len(h) for h in hospitals] == [62, 36, 20]
    assert [round(float(h.y.mean()), 2) for h in hospitals] == [0.1, 0.5, 0.9]


def test_every_hospital_has_both_classes_in_both_parts():
    for sites in (3, 17, 100):
        for part in ("train", "held_out"):
            for index in range(1, sites + 1):
                assert set(BreastCancerDataset(part, index, sites).y) == {0, 1}


def test_features_are_standardised_with_public_constants():
    whole = [
        BreastCancerDataset(part, 1, 500, pooled=True, train_cases=None)
        for part in ("train", "held_out")
    ]
    x = np.concatenate([part.x for part in whole])
    assert len(x) == 569
    assert np.allclose(x.mean(axis=0), 0, atol=1e-5)
    assert np.allclose(x.std(axis=0), 1, atol=1e-5)


def test_digits_are_skewed_by_class_and_alike_in_both_parts():
    def shares(part, index):
        return np.bincount(DigitsDataset(part, index, 10).y, minlength=10)

    favourites = [np.sort(shares("train", i))[-3:].sum() / 125 for i in range(1, 11)]
    assert np.mean(favourites) > 0.5  # three of ten classes make up more than half
    both = [np.corrcoef(shares("train", i), shares("held_out", i))[0, 1] for i in range(1, 11)]
    assert np.mean(both) > 0.7


def test_many_shards_overlap():
    cases = sum(len(DigitsDataset("train", i, 500)) for i in range(1, 501))
    assert cases >= 500 * 16 > len(DigitsDataset("train", 1, 500, pooled=True))


@pytest.mark.parametrize(
    ("component", "schema"),
    [(BreastCancerDataset, BREAST_CANCER_ARGS), (DigitsDataset, DIGITS_ARGS)],
)
def test_schemas_are_the_constructors_signatures(component, schema):
    parameters = inspect.signature(component).parameters
    declared = {name: p["default"] for name, p in schema["properties"].items()}
    assert {name: p.default for name, p in parameters.items()} == declared


def test_hospitals_may_train_on_all_there_is():
    few = BreastCancerDataset("train", 1, 3, pooled=True)
    many = BreastCancerDataset("train", 1, 3, pooled=True, train_cases=None)
    assert len(few) <= 120
    assert len(many) > 300


@pytest.mark.parametrize(
    ("table", "load"),
    [
        (read_table("breast_cancer.csv", head=1), load_breast_cancer),
        (read_table("digits.csv.gz"), load_digits),
    ],
    ids=["breast_cancer", "digits"],
)
def test_tables_are_those_that_scikit_learn_reads(table, load):
    for ours, theirs in zip(table, load(return_X_y=True), strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)


def test_neither_data_nor_metrics_import_scikit_learn():
    program = (
        "import sys, mmar_runner_torch.metrics\n"
        "from mmar_runner_sklearn.breast_cancer import BreastCancerDataset\n"
        "from mmar_runner_sklearn.digits import DigitsDataset\n"
        "BreastCancerDataset(), DigitsDataset()\n"
        "sys.exit('sklearn' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
