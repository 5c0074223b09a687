# SPDX-License-Identifier: Apache-2.0
"""Made-up volumes for a dry run: files in the place of a site's, which the workflow really reads.

How large they are follows from what the workflow cuts out of them, and how many channels they
have from the network; so the declared transforms, from loading on, work on them as on real ones.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import nibabel
import numpy as np

from mmar_runner.errors import SyntheticDataError
from mmar_runner_monai.data_list import BASE_FOLDER, LIST_FILE, LIST_KEY

if TYPE_CHECKING:
    from mmar_runner.interfaces.client_trainer import TrainerContext
    from mmar_runner_monai.parts import Declaration, Parts

#: Under every key of a list there are so many cases.
MADE_UP_CASES: Final = 2
#: Arguments of transforms that say how large a piece is that is cut out.
_PIECES: Final = ("spatial_size", "roi_size", "patch_size")
#: Voxels along an axis where nothing says how many.
_LENGTH: Final = 32
#: The fewest along an axis.
_FEWEST: Final = 8
#: Voxels around a piece.
_MARGIN: Final = 4
_CLASSIFICATION: Final = "classification"


def with_made_up_volumes(context: TrainerContext) -> TrainerContext:
    """Return the same context, but every data list leads to made-up volumes in the workspace.

    Raises:
        SyntheticDataError: A data set does not take its samples from a list.
    """
    folder = context.workspace / "made_up"
    files = _write(folder, context)
    keys = {str(one.get(LIST_KEY) or "training") for one in _datasets(context)}
    listed = folder / "dataset.json"
    listed.write_text(json.dumps({key: [files] * MADE_UP_CASES for key in keys}), "utf-8")
    moved = {LIST_FILE: str(listed), BASE_FOLDER: str(folder)}
    return replace(
        context,
        train_config=_replaced(context.train_config, moved),
        validation_config=_replaced(context.validation_config, moved),
    )


def batch_shape(parts: Parts, section: Declaration) -> tuple[int, ...] | None:
    """Return the shape of a batch that a section trains on; None if nothing says how large it is.

    Args:
        parts: Follows references.
        section: ``train``.
    """
    transforms = parts.all_declared(section.get("pre_transforms"))
    piece = _largest(transforms)
    if not piece:
        return None
    drawn = max([int(_args(one).get("num_samples") or 1) for one in transforms], default=1)
    loader = parts.declared(section.get("dataloader")) or {}
    batch = int(_args(loader).get("batch_size") or 1)
    return (batch * drawn, _channels(section), *piece)


def _write(folder: Path, context: TrainerContext) -> dict[str, Any]:
    """Write one image and its label, and return their files, or a class in the label's place."""
    train = context.train_config.get("train") or {}
    transforms = list(_objects(context.train_config))
    size = _largest(transforms) or (_LENGTH,) * _dimensions(train)
    length = [max(one + _MARGIN, _FEWEST) for one in size]
    generator = np.random.default_rng(0)
    label = np.zeros(length, dtype=np.uint8)
    label[tuple(slice(one // 4, -(one // 4)) for one in length)] = 1
    channels = _channels(train)
    image = generator.normal(0, 50, (*length, channels)) + 100 * label[..., None]
    folder.mkdir(parents=True, exist_ok=True)
    spacing = _spacing(transforms, len(length))
    _save(folder / "image.nii.gz", (image if channels > 1 else image[..., 0]), spacing)
    _save(folder / "label.nii.gz", label, spacing)
    if context.variables.get("PROCESSING_TASK") == _CLASSIFICATION:
        return {"image": "image.nii.gz", "label": 0}
    return {"image": "image.nii.gz", "label": "label.nii.gz"}


def _save(file: Path, values: Any, spacing: tuple[float, ...]) -> None:
    affine = np.diag([*spacing, *[1.0] * (4 - len(spacing))])
    image: Any = nibabel.Nifti1Image  # has no types
    image(values.astype(np.float32), affine).to_filename(file)


def _datasets(context: TrainerContext) -> Iterator[Declaration]:
    """Yield every data set that a section declares.

    Raises:
        SyntheticDataError: One of them does not take its samples from a list.
    """
    sections = [context.train_config.get("train"), context.train_config.get("validate")]
    sections += [context.validation_config, context.validation_config.get("validate")]
    for section in sections:
        declared = section.get("dataset") if isinstance(section, Mapping) else None
        if not isinstance(declared, Mapping) or "ref" in declared:
            continue
        if LIST_FILE not in declared:
            name = declared.get("name") or declared.get("path")
            raise SyntheticDataError(
                f"dataset {name!r} takes its samples from no data list",
                hint="try it on real data: mmar-runner simulate",
            )
        yield declared


def _replaced(value: Any, moved: Mapping[str, str]) -> Any:
    """Return a configuration whose data lists lead somewhere else."""
    if isinstance(value, Mapping):
        found = {key: _replaced(one, moved) for key, one in value.items()}
        return {**found, **moved} if LIST_FILE in found else found
    return [_replaced(one, moved) for one in value] if isinstance(value, list) else value


def _largest(declarations: list[Declaration]) -> tuple[int, ...]:
    """Return the largest piece that transforms cut out; empty if none says."""
    pieces = [_args(one).get(name) for one in declarations for name in _PIECES]
    whole = [one for one in pieces if isinstance(one, list) and _are_lengths(one)]
    largest = max(map(len, whole), default=0)
    fitting = [one for one in whole if len(one) == largest]
    return tuple(max(lengths) for lengths in zip(*fitting, strict=True))


def _spacing(declarations: list[Declaration], dimensions: int) -> tuple[float, ...]:
    """Return the spacing to which transforms resample, so that they change no length."""
    for one in declarations:
        pixdim = _args(one).get("pixdim")
        if isinstance(pixdim, list) and len(pixdim) == dimensions:
            return tuple(float(length) if length > 0 else 1.0 for length in pixdim)
    return (1.0,) * dimensions


def _channels(section: Mapping[str, Any]) -> int:
    found = _args(section.get("model") or {}).get("in_channels")
    return found if type(found) is int and found > 0 else 1


def _dimensions(section: Mapping[str, Any]) -> int:
    args = _args(section.get("model") or {})
    found = args.get("spatial_dims", args.get("dimensions"))
    return found if found in {1, 2, 3} else 3


def _are_lengths(value: list[Any]) -> bool:
    return bool(value) and all(type(one) is int and one > 0 for one in value)


def _args(declaration: Mapping[str, Any]) -> Mapping[str, Any]:
    args = declaration.get("args")
    return args if isinstance(args, Mapping) else {}


def _objects(value: Any) -> Iterator[Declaration]:
    """Yield every declaration in the lists of transforms of a configuration."""
    if isinstance(value, Mapping):
        for key, one in value.items():
            if key.endswith("transforms") and isinstance(one, list):
                yield from (item for item in one if isinstance(item, Mapping))
            else:
                yield from _objects(one)
