# SPDX-License-Identifier: Apache-2.0
"""Registers the filters and the aggregator, under their own names and those of older systems."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.hooks import hookimpl

if TYPE_CHECKING:
    from mmar_runner.hooks import Registrar

_NVFLARE: Final = "nvflare.app_common.filters"
_ONE_TENSOR: Final = "a few float64 copies of the largest tensor"
_LI: Final = "Li et al., 2019, arXiv:1910.00962; Shokri and Shmatikov, CCS 2015"
_DWORK: Final = "Dwork and Roth, 2014, Foundations and Trends in TCS 9(3-4)"


def _above(low: float, text: str, **more: Any) -> dict[str, Any]:
    return {"type": "number", "exclusiveMinimum": low, **more, "description": text}


_GAMMA: Final = "Values are cut to -gamma ... gamma (of the difference divided by steps)."
_STEPS: Final[dict[str, Any]] = {
    "type": ["integer", "null"],
    "minimum": 1,
    "default": None,
    "description": (
        "The difference is divided by so many before, and multiplied by it after: gamma and tau"
        " are then meant for one step of the training. The runner does not know the steps of"
        " every trainer; null is 1."
    ),
}
_TAU: Final[dict[str, Any]] = {"type": "number", "minimum": 0}
_MAX_NORM: Final = _above(0, "The largest L2 norm of a difference, over all floating tensors.")
_DELTA: Final = _above(
    0,
    "The delta that goes with epsilon: well below 1 / (number of those whose privacy it is).",
    exclusiveMaximum=1,
    default=1e-5,
)

_FILTERS: Final[Mapping[str, dict[str, Any]]] = {
    "ExcludeVars": {
        "target": "exclude_vars:ExcludeVars",
        "summary": "Some tensors never leave the site: they keep the received model's values.",
        "aliases": (f"{_NVFLARE}.exclude_vars.ExcludeVars",),
        "properties": {
            "exclude_vars": {
                "type": ["string", "array"],
                "format": "regex",
                "minLength": 1,
                "maxLength": 1000,
                "minItems": 1,
                "items": {"type": "string", "minLength": 1},
                "description": (
                    "Names of tensors, exactly, in a list; or one regular expression, searched"
                    " in names. What is found nowhere fails the task."
                ),
            }
        },
        "tags": ["drops_tensors"],
        "paper": "selective sharing: Shokri and Shmatikov, CCS 2015",
    },
    "PercentilePrivacy": {
        "target": "percentile:PercentilePrivacy",
        "summary": "Only the largest changes leave, and those bounded; no differential privacy.",
        "aliases": (
            "PercentileProtocol",
            f"{_NVFLARE}.percentile_privacy.PercentilePrivacy",
        ),
        "properties": {
            "percentile": {
                "type": "number",
                "minimum": 0,
                "maximum": 100,
                "default": 10.0,
                "description": "Share of the changes that become 0, the smallest, in percent.",
            },
            "gamma": _above(0, _GAMMA, default=0.01),
            "steps": _STEPS,
        },
        "tags": ["bounds_values"],
        "memory": f"{_ONE_TENSOR}, and 32 MiB of counts; the update is read four times",
        "paper": _LI,
    },
    "SVTPrivacy": {
        "target": "svt:SVTPrivacy",
        "summary": "A fraction of the changes leaves, chosen by the sparse vector technique.",
        "aliases": ("SVTProtocol", f"{_NVFLARE}.svt_privacy.SVTPrivacy"),
        "properties": {
            "fraction": _above(0, "Share of the values that leave.", maximum=1, default=0.1),
            "epsilon": _above(0, "Epsilon of the choice.", default=0.1),
            "noise_var": _above(
                0, "Epsilon of the released values; the name is that of old files.", default=0.1
            ),
            "gamma": _above(0, _GAMMA, default=1e-5),
            "tau": {**_TAU, "default": 1e-6, "description": "Threshold of the choice."},
            "steps": _STEPS,
        },
        "tags": ["bounds_values", "adds_noise"],
        "memory": f"{_ONE_TENSOR}; the update is read three times",
        "paper": f"{_LI}; {_DWORK}, section 3.6",
    },
    "LaplacianPrivacy": {
        "target": "laplacian:LaplacianPrivacy",
        "summary": "A random part of the changes leaves, each through the Laplace mechanism.",
        "aliases": ("LaplacianProtocol",),
        "properties": {
            "fraction": _above(
                0, "Share of the values that leave, in percent.", maximum=100, default=50.0
            ),
            "epsilon": _above(0, "Epsilon of one value.", default=2.0),
            "gamma": _above(0, _GAMMA, default=1e-4),
            "tau": {
                **_TAU,
                "default": 5e-5,
                "description": "Noisy values smaller than that leave as 0.",
            },
            "steps": _STEPS,
        },
        "tags": ["bounds_values", "adds_noise"],
        "memory": f"{_ONE_TENSOR}; the update is read twice",
        "paper": f"{_DWORK}, section 3.3",
    },
    "LaplaceNoise": {
        "target": "noise_filters:LaplaceNoise",
        "summary": "Laplace noise of a given scale on every floating number.",
        "properties": {"scale": _above(0, "b of its density exp(-|x|/b) / 2b.")},
        "tags": ["adds_noise", "noise_needs_clip"],
        "memory": f"{_ONE_TENSOR}; the update is read twice",
        "paper": f"{_DWORK}, section 3.3",
    },
    "GaussianNoise": {
        "target": "noise_filters:GaussianNoise",
        "summary": "Gaussian noise of a given standard deviation on every floating number.",
        "properties": {"stddev": _above(0, "Its standard deviation.")},
        "tags": ["adds_noise", "noise_needs_clip"],
        "memory": f"{_ONE_TENSOR}; the update is read twice",
        "paper": f"{_DWORK}, appendix A",
    },
    "NormClip": {
        "target": "norm_clip:NormClip",
        "summary": "Scales the difference down to a largest L2 norm.",
        "properties": {"max_norm": _MAX_NORM},
        "tags": ["clips"],
        "memory": f"{_ONE_TENSOR}; the update is read twice",
        "paper": "McMahan et al., 2018, arXiv:1710.06963 (flat clipping)",
    },
    "LocalDP": {
        "target": "local_dp:LocalDP",
        "summary": "Clips, adds Gaussian noise, and counts the privacy spent, up to a budget.",
        "properties": {
            "max_norm": _MAX_NORM,
            "noise_multiplier": _above(
                0, "Standard deviation of the noise on every number, divided by max_norm."
            ),
            "epsilon": _above(
                0, "What all releases may spend; one that would spend more fails its task."
            ),
            "delta": _DELTA,
        },
        "tags": ["clips", "adds_noise"],
        # Any two clipped updates may lie twice max_norm apart.
        "spends": {
            "noise": "noise_multiplier",
            "budget": "epsilon",
            "delta": "delta",
            "sensitivity": 2,
        },
        "memory": f"{_ONE_TENSOR}; the update is read twice",
        "paper": f"{_DWORK}; Kasiviswanathan et al., 2008, arXiv:0803.0924",
    },
}

_AGGREGATOR: Final[dict[str, dict[str, Any]]] = {
    "max_norm": _MAX_NORM,
    "noise_multiplier": _above(
        0, "Standard deviation of the noise on the sum of the differences, divided by max_norm."
    ),
    "max_epsilon": _above(
        0, "What all rounds may spend; a round that would spend more ends the run before it."
    ),
    "delta": _DELTA,
    "count_sampling": {
        "type": "boolean",
        "default": False,
        "description": (
            "Whether a round that asks only some of the clients counts as less. Right only for"
            " those who cannot know whom it asked: clients that know the run's seed can."
        ),
    },
    "exclude_vars": {
        "type": ["string", "null"],
        "format": "regex",
        "minLength": 1,
        "maxLength": 1000,
        "default": None,
        "description": (
            "Tensors in whose name this regular expression is found keep the global model's"
            " values; null excludes none."
        ),
    },
}


@hookimpl
def mmar_register_components(registry: Registrar) -> None:
    """Register all as data; their code is imported when a task or round needs it."""
    registry.add(
        kind="aggregator",
        name="DPFedAvg",
        target="mmar_runner_privacy.dp_fedavg:DPFedAvg",
        args_schema=_schema(_AGGREGATOR),
        summary="Plain mean of clipped differences with Gaussian noise, up to a privacy budget.",
        extras={
            "memory": "O(block)",
            "tags": [
                "needs_each_update",
                "clips",
                "adds_noise",
                {"tag": "counts_sampling", "if": "count_sampling"},
            ],
            "paper": "McMahan et al., 2018, arXiv:1710.06963",
            "spends": {
                "noise": "noise_multiplier",
                "budget": "max_epsilon",
                "delta": "delta",
                "unless": "count_sampling",
            },
        },
    )
    for name, told in _FILTERS.items():
        registry.add(
            kind="filter",
            name=name,
            target=f"mmar_runner_privacy.{told['target']}",
            args_schema=_schema(told["properties"]),
            aliases=told.get("aliases", ()),
            summary=told["summary"],
            extras={
                "memory": told.get("memory", _ONE_TENSOR),
                "tags": told["tags"],
                "paper": told["paper"],
                **({"spends": told["spends"]} if "spends" in told else {}),
            },
        )


def _schema(properties: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name, one in properties.items() if "default" not in one],
        "additionalProperties": False,
    }
