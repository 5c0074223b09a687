# SPDX-License-Identifier: Apache-2.0
"""Writes what a network gives as images; MONAI had a handler for it until 0.9."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
from ignite.engine import Engine, Events
from monai.transforms import SaveImage


class SegmentationSaver:
    """Writes every sample's output after every iteration, as an image beside its input's name.

    Args:
        output_dir: The folder; gets a folder for each sample.
        output_postfix: What follows a sample's name.
        output_ext: The format, by its suffix.
        resample: Whether the output goes back to the grid that its input had in its file.
        mode: How, where it does.
        padding_mode: What lies outside.
        scale: Of values from 0 to 1: 255, 65535 or None.
        dtype: In which is resampled.
        output_dtype: In which is written.
        squeeze_end_dims: Whether axes of length 1 at the end are left out.
        data_root_dir: The beginning of inputs' paths that their folders leave out.
        separate_folder: Whether each sample has a folder.
        batch_transform: Gives of a batch the headers of its images.
        output_transform: Gives of an engine's output what is written.
        name: Of the log's messages.
    """

    def __init__(
        self,
        output_dir: str,
        output_postfix: str = "seg",
        output_ext: str = ".nii.gz",
        *,
        resample: bool = True,
        mode: str = "nearest",
        padding_mode: str = "border",
        scale: int | None = None,
        dtype: str = "float64",
        output_dtype: str = "float32",
        squeeze_end_dims: bool = True,
        data_root_dir: str = "",
        separate_folder: bool = True,
        batch_transform: Callable[[Any], Any] = lambda batch: batch,
        output_transform: Callable[[Any], Any] = lambda output: output,
        name: str | None = None,
    ) -> None:
        self._log = logging.getLogger(name or __name__)
        self._headers = batch_transform
        self._outputs = output_transform
        self._save = SaveImage(
            output_dir=output_dir,
            output_postfix=output_postfix,
            output_ext=output_ext,
            resample=resample,
            mode=mode,
            padding_mode=padding_mode,
            scale=scale,
            dtype=np.dtype(dtype),
            output_dtype=np.dtype(output_dtype),
            squeeze_end_dims=squeeze_end_dims,
            data_root_dir=data_root_dir,
            separate_folder=separate_folder,
            print_log=False,
        )

    def attach(self, engine: Engine) -> None:
        """Write after each of an engine's iterations."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Write what the engine gave for its batch.

        Raises:
            ValueError: There are not as many headers as outputs.
        """
        outputs = list(self._outputs(engine.state.output))
        headers = self._headers(engine.state.batch)
        headers = [headers] if isinstance(headers, dict) else list(headers)
        for image, header in zip(outputs, headers, strict=True):
            self._save(image, meta_data=header)
        self._log.info("%d images written", len(outputs))
