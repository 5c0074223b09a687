# SPDX-License-Identifier: Apache-2.0
"""Volumes for trying an archive: of the declared form, learnable, the same for the same seed."""

from __future__ import annotations

import json

import nibabel
import numpy as np

from mmar_runner_monai.synthetic import HELD_OUT, LIST, Plan, main, write_sites

PLAN = Plan(training=1, validation=1, size=(12, 10, 8), spacing=(1.5, 1.5, 2.0))


def _files(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_site_has_a_list_of_pairs(tmp_path):
    (site,) = write_sites(tmp_path, 1, PLAN)

    listed = json.loads((site / LIST).read_text())

    assert [len(listed[key]) for key in ("training", "validation")] == [1, 1]
    for pair in (*listed["training"], *listed["validation"]):
        image, label = (nibabel.load(site / pair[key]) for key in ("image", "label"))
        assert image.shape == label.shape == PLAN.size
        assert image.header.get_zooms() == label.header.get_zooms() == PLAN.spacing
        inside = np.asarray(label.dataobj) == 1
        values = np.asarray(image.dataobj)
        assert 0 < inside.mean() < 0.5
        assert values[inside].mean() > values[~inside].mean() + 50


def test_the_same_seed_gives_the_same_bytes_and_another_site_other_cases(tmp_path):
    first, again, other = (tmp_path / name for name in "abc")
    write_sites(first, 2, PLAN)
    write_sites(again, 2, PLAN)
    write_sites(other, 1, Plan(1, 1, PLAN.size, PLAN.spacing, seed=1))

    assert _files(first) == _files(again)
    assert _files(first / "site-1") != _files(first / "site-2")
    assert _files(first / "site-1") != _files(other / "site-1")


def test_cases_of_no_site_are_held_out(tmp_path):
    write_sites(tmp_path, 1, PLAN, held_out=2)

    listed = json.loads((tmp_path / HELD_OUT / LIST).read_text())

    assert (len(listed["training"]), len(listed["validation"])) == (0, 2)


def test_the_command_says_where_the_lists_are(tmp_path, capsys):
    size = ["--size", "8", "8", "8", "--training", "1", "--validation", "1"]

    assert main([str(tmp_path), "--sites", "2", *size]) == 0
    assert capsys.readouterr().out.split() == [
        str(tmp_path / site / LIST) for site in ("site-1", "site-2")
    ]
