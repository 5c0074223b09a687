# SPDX-License-Identifier: Apache-2.0
"""What this distribution registers."""

from __future__ import annotations

from typing import Any, Final

from mmar_runner.hooks import hookimpl

_SITE_ARGS: Final[dict[str, Any]] = {
    "partition": {
        "description": "The part to train on, or the part held out to measure on.",
        "enum": ["train", "held_out"],
        "default": "train",
    },
    "site_index": {
        "description": "Which site's shard, from 1; counted round beyond num_sites.",
        "type": "integer",
        "minimum": 1,
        "default": 1,
    },
    "num_sites": {
        "description": "Into how many shards the data is cut.",
        "type": "integer",
        "minimum": 1,
        "maximum": 1_000_000,
        "default": 1,
    },
    "pooled": {
        "description": "True for the union of all sites' shards.",
        "type": "boolean",
        "default": False,
    },
    "seed": {
        "description": "Where the cut comes from; the same everywhere.",
        "type": "integer",
        "minimum": 0,
        "default": 0,
    },
    "held_out": {
        "description": "The share of the data that is held out.",
        "type": "number",
        "exclusiveMinimum": 0,
        "maximum": 0.9,
        "default": 0.3,
    },
}

BREAST_CANCER_ARGS: Final[dict[str, Any]] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        **_SITE_ARGS,
        "train_cases": {
            "description": "How many cases all sites together train on; null for as many as "
            "there are.",
            "type": ["integer", "null"],
            "minimum": 1,
            "default": 120,
        },
        "skew": {
            "description": "How far the share of malignant cases goes from even, at the ends: "
            "0 gives every site one half, 0.4 gives 0.1 to 0.9.",
            "type": "number",
            "minimum": 0,
            "exclusiveMaximum": 0.5,
            "default": 0.4,
        },
        "size_ratio": {
            "description": "How many times as many cases the first site has as the last.",
            "type": "number",
            "minimum": 1,
            "default": 3.0,
        },
    },
}

DIGITS_ARGS: Final[dict[str, Any]] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        **_SITE_ARGS,
        "alpha": {
            "description": "Dirichlet concentration of each site's classes; small is skewed.",
            "type": "number",
            "exclusiveMinimum": 0,
            "default": 0.5,
        },
    },
}


@hookimpl
def mmar_register_components(registry: Any) -> None:
    """Register the data sets."""
    registry.add(
        kind="dataset",
        name="BreastCancerDataset",
        target="mmar_runner_sklearn.breast_cancer:BreastCancerDataset",
        args_schema=BREAST_CANCER_ARGS,
        summary="Wisconsin breast cancer: 569 cases, 30 features, 2 classes, as hospitals.",
        extras={"yields": {"shape": [30], "classes": 2}},
    )
    registry.add(
        kind="dataset",
        name="DigitsDataset",
        target="mmar_runner_sklearn.digits:DigitsDataset",
        args_schema=DIGITS_ARGS,
        summary="Handwritten digits: 1,797 images of 8 x 8, 10 classes, for any number of sites.",
        extras={"yields": {"shape": [1, 8, 8], "classes": 10}},
    )
