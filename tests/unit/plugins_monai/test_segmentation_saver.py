# SPDX-License-Identifier: Apache-2.0
"""What a network gives is written as an image of the site, beside its input's name."""

from __future__ import annotations

from types import SimpleNamespace

import nibabel
import numpy as np
import torch

from mmar_runner.documents.item_functions import parse_item_function
from mmar_runner_monai.segmentation_saver import SegmentationSaver


def test_each_sample_has_its_file(tmp_path):
    saver = SegmentationSaver(
        str(tmp_path),
        resample=False,
        batch_transform=parse_item_function("lambda x: x['image_meta_dict']"),
        output_transform=parse_item_function("lambda x: x['pred']"),
    )
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    batch = [
        {"image_meta_dict": {"filename_or_obj": f"/data/case_{n}.nii.gz", "affine": affine}}
        for n in range(2)
    ]
    output = [{"pred": torch.full((1, 4, 4, 4), float(n))} for n in range(2)]

    saver(SimpleNamespace(state=SimpleNamespace(batch=batch, output=output)))

    for n in range(2):
        image = nibabel.load(tmp_path / f"case_{n}" / f"case_{n}_seg.nii.gz")
        assert image.shape == (4, 4, 4)
        assert np.asarray(image.dataobj).mean() == n
        np.testing.assert_allclose(np.abs(image.affine), affine)
