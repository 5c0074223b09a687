# SPDX-License-Identifier: Apache-2.0
"""Writes small volumes that a network can learn something from, as NIfTI, site by site.

``python -m mmar_runner_monai.synthetic OUT --sites 2`` writes them.

A volume is noise with one ellipsoid in it, which is the label, and a few small brighter
spheres, which are not. Its voxels are no cubes of one millimetre, so that a workflow's
resampling has something to do. Beside a site's volumes lies its data list, in the form of
the Medical Segmentation Decathlon (Antonelli et al. 2022, arXiv:2106.05735):
``{"training": [{"image": ..., "label": ...}], "validation": [...]}``. The same seed gives the
same bytes.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import nibabel
import numpy as np

#: Means and standard deviations of what is in a volume, in Hounsfield units.
_BACKGROUND: Final = (-20.0, 25.0)
_INSIDE: Final = (80.0, 20.0)
_BRIGHT: Final = (160.0, 20.0)
#: Half axes of an ellipsoid, and the radius of a sphere, as shares of the volume's length.
_AXES: Final = (0.18, 0.30)
_RADIUS: Final = (0.04, 0.08)
_SPHERES: Final = 3
#: The list beside the volumes, and the folder of cases that no site trains on.
LIST: Final = "dataset.json"
HELD_OUT: Final = "held_out"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is written.

    Attributes:
        training: Cases that a site trains on.
        validation: Cases on which it measures.
        size: Voxels along each axis.
        spacing: Length of a voxel along each axis, in millimetres.
        seed: Of all of it.
    """

    training: int = 4
    validation: int = 2
    size: tuple[int, int, int] = (32, 32, 32)
    spacing: tuple[float, float, float] = (1.5, 1.5, 2.0)
    seed: int = 0


_DEFAULT: Final = Plan()


def volume(plan: Plan, generator: np.random.Generator) -> tuple[Any, Any]:
    """Return an image (int16) and its label (uint8), both [x, y, z]."""
    extent = np.asarray(plan.size) * plan.spacing
    axes = [np.arange(n) * s for n, s in zip(plan.size, plan.spacing, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)  # [x, y, z, 3], millimetres
    centre = extent * generator.uniform(0.35, 0.65, 3)
    half = extent * generator.uniform(*_AXES, 3)
    label = (((points - centre) / half) ** 2).sum(axis=-1) <= 1
    bright = np.zeros_like(label)
    for _ in range(_SPHERES):
        middle = extent * generator.uniform(0, 1, 3)
        radius = extent.min() * generator.uniform(*_RADIUS)
        bright |= ((points - middle) ** 2).sum(axis=-1) <= radius**2
    image = generator.normal(*_BACKGROUND, plan.size)
    for inside, look in ((label, _INSIDE), (bright & ~label, _BRIGHT)):
        image[inside] = generator.normal(*look, int(inside.sum()))
    return np.rint(image).astype(np.int16), label.astype(np.uint8)


def write_cases(folder: Path, plan: Plan, name: str) -> Path:
    """Write the cases of one site, and their list.

    Args:
        folder: Is made; gets ``images``, ``labels`` and the list.
        plan: What is written.
        name: Of the site; another name gives other cases.

    Returns:
        The list's path.
    """
    generator = np.random.default_rng([plan.seed, *name.encode()])
    listed: dict[str, list[dict[str, str]]] = {"training": [], "validation": []}
    for part, count in (("training", plan.training), ("validation", plan.validation)):
        for number in range(count):
            files = {kind: f"{kind}s/{part}_{number:03}.nii.gz" for kind in ("image", "label")}
            for file, values in zip(files.values(), volume(plan, generator), strict=True):
                _write_nifti(folder / file, values, plan.spacing)
            listed[part].append(files)
    path = folder / LIST
    path.write_text(json.dumps(listed, indent=2) + "\n", encoding="utf-8")
    return path


def write_sites(out: Path, sites: int, plan: Plan, *, held_out: int = 0) -> list[Path]:
    """Write ``site-1``, ``site-2``, ... and, if asked for, cases that no site has.

    Returns:
        The folder of every site.
    """
    folders = [out / f"site-{number + 1}" for number in range(sites)]
    for folder in folders:
        write_cases(folder, plan, folder.name)
    if held_out:
        rest = Plan(0, held_out, plan.size, plan.spacing, plan.seed)
        write_cases(out / HELD_OUT, rest, HELD_OUT)
    return folders


def _write_nifti(path: Path, values: Any, spacing: Sequence[float]) -> None:
    """Write a volume; compressed without the time, so that the same values are the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(values, np.diag([*spacing, 1.0]))
    image.header.set_xyzt_units("mm")
    path.write_bytes(gzip.compress(image.to_bytes(), compresslevel=1, mtime=0))


def main(arguments: Sequence[str] | None = None) -> int:
    """Write what the command line asks for, and say where it is."""
    parser = argparse.ArgumentParser(prog="python -m mmar_runner_monai.synthetic")
    parser.add_argument("out", type=Path, help="folder that gets a folder for each site")
    parser.add_argument("--sites", type=int, default=2, help="how many (2)")
    parser.add_argument("--training", type=int, default=_DEFAULT.training, help="cases a site (4)")
    parser.add_argument(
        "--validation", type=int, default=_DEFAULT.validation, help="cases a site (2)"
    )
    parser.add_argument("--held-out", type=int, default=0, help="cases of no site (0)")
    parser.add_argument(
        "--size", type=int, nargs=3, default=_DEFAULT.size, help="voxels (32 32 32)"
    )
    parser.add_argument(
        "--spacing", type=float, nargs=3, default=_DEFAULT.spacing, help="millimetres (1.5 1.5 2)"
    )
    parser.add_argument("--seed", type=int, default=_DEFAULT.seed)
    asked = parser.parse_args(arguments)
    plan = Plan(
        asked.training, asked.validation, tuple(asked.size), tuple(asked.spacing), asked.seed
    )
    for folder in write_sites(asked.out, asked.sites, plan, held_out=asked.held_out):
        sys.stdout.write(f"{folder / LIST}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
