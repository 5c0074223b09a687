# SPDX-License-Identifier: Apache-2.0
"""Registers the robust rules, as data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mmar_runner.hooks import hookimpl
from mmar_runner.interfaces.tags import Tag

if TYPE_CHECKING:
    from mmar_runner.hooks import Registrar

_YIN: Final = "Yin, Chen, Ramchandran and Bartlett, 2018, arXiv:1803.01498"
_BLANCHARD: Final = "Blanchard, El Mhamdi, Guerraoui and Stainer, 2017, NeurIPS, arXiv:1703.02757"
_EL_MHAMDI: Final = "El Mhamdi, Guerraoui and Rouault, 2018, ICML, arXiv:1802.07927"
_PILLUTLA: Final = "Pillutla, Kakade and Harchaoui, 2019, arXiv:1912.13445"
_SUN: Final = "Sun, Kairouz, Suresh and McMahan, 2019, arXiv:1911.07963"

#: The server reads so much of all updates at a time, whatever the model's size.
_BLOCK: Final = "O(block): 1 MiB of each update, at most 64 MiB of all together"
_DISTANCES: Final = f"{_BLOCK}, and the clients' distances: 8 bytes times clients squared"

_EACH: Final = Tag.NEEDS_EACH_UPDATE.value
_COMPARES: Final = Tag.COMPARES_UPDATES.value
_SAMPLES: Final = Tag.SCALES_BY_SAMPLES.value

_EXCLUDE: Final[dict[str, Any]] = {
    "type": ["string", "null"],
    "format": "regex",
    "maxLength": 1000,
    "default": None,
    "description": (
        "Tensors in whose name this regular expression is found keep the global model's"
        " values, and count in no distance and no norm; null or empty excludes none."
    ),
}
_NUM_MALICIOUS: Final[dict[str, Any]] = {
    "type": "integer",
    "minimum": 0,
    "description": "f: how many clients of a round may send anything.",
}
_NUM_SELECTED: Final[dict[str, Any]] = {
    "type": ["integer", "null"],
    "minimum": 1,
    "default": None,
    "description": (
        "m: how many updates are averaged; null: as many as there are, less num_malicious."
    ),
}
_WEIGHTED: Final[dict[str, Any]] = {
    "type": "boolean",
    "default": True,
    "description": (
        "An update weighs as many samples as it was trained on, as in the paper; if false, each"
        " counts once, and a site gains nothing by claiming many."
    ),
}
_ITERATIONS: Final[dict[str, Any]] = {
    "type": "integer",
    "minimum": 1,
    "maximum": 100000,
    "default": 100,
    "description": "The most iterations; they end earlier if nothing changes any more.",
}
_SMOOTHING: Final[dict[str, Any]] = {
    "type": "number",
    "exclusiveMinimum": 0,
    "default": 1e-6,
    "description": "nu: a distance to an update that is smaller counts as this.",
}
_MAX_NORM: Final[dict[str, Any]] = {
    "type": "number",
    "exclusiveMinimum": 0,
    "description": (
        "The largest Euclidean norm with which a client's difference to the round's model counts."
    ),
}

_RULES: Final[tuple[dict[str, Any], ...]] = (
    {
        "name": "Median",
        "module": "coordinates",
        "summary": "The median of every coordinate, each client counting once.",
        "arguments": {},
        "extras": {"memory": _BLOCK, "paper": _YIN, "tags": [_EACH, _COMPARES]},
    },
    {
        "name": "TrimmedMean",
        "module": "coordinates",
        "summary": "The mean of every coordinate without its largest and smallest values.",
        "arguments": {"num_malicious": _NUM_MALICIOUS},
        "extras": {
            "memory": _BLOCK,
            "paper": _YIN,
            "tags": [_EACH, _COMPARES],
            "min_clients": {"base": 1, "per": {"num_malicious": 2}},
        },
    },
    {
        "name": "Krum",
        "module": "krum",
        "summary": "The one update that is closest to its nearest others.",
        "arguments": {"num_malicious": _NUM_MALICIOUS},
        "extras": {
            "memory": _DISTANCES,
            "paper": _BLANCHARD,
            "tags": [_EACH, _COMPARES],
            "min_clients": {"base": 3, "per": {"num_malicious": 2}},
        },
    },
    {
        "name": "MultiKrum",
        "module": "krum",
        "summary": "The mean of the updates that are closest to their nearest others.",
        "arguments": {"num_malicious": _NUM_MALICIOUS, "num_selected": _NUM_SELECTED},
        "extras": {
            "memory": _DISTANCES,
            "paper": _BLANCHARD,
            "tags": [_EACH, _COMPARES],
            "min_clients": {"base": 3, "per": {"num_malicious": 2}},
        },
    },
    {
        "name": "Bulyan",
        "module": "bulyan",
        "summary": "Updates chosen by Krum, then a mean around the median of every coordinate.",
        "arguments": {"num_malicious": _NUM_MALICIOUS},
        "extras": {
            "memory": _DISTANCES,
            "paper": _EL_MHAMDI,
            "tags": [_EACH, _COMPARES],
            "min_clients": {"base": 3, "per": {"num_malicious": 4}},
        },
    },
    {
        "name": "GeometricMedian",
        "module": "geometric",
        "summary": "The point whose distances to all updates have the least sum.",
        "arguments": {
            "weighted": _WEIGHTED,
            "iterations": _ITERATIONS,
            "smoothing": _SMOOTHING,
        },
        "extras": {
            "memory": _DISTANCES,
            "paper": _PILLUTLA,
            "tags": [_EACH, _COMPARES, {"tag": _SAMPLES, "if": "weighted"}],
        },
    },
    {
        "name": "NormClipping",
        "module": "clipping",
        "summary": "Weighted mean of differences, each scaled down to a largest norm.",
        "arguments": {"max_norm": _MAX_NORM},
        "extras": {"memory": _BLOCK, "paper": _SUN, "tags": [_EACH, _SAMPLES]},
    },
)


@hookimpl
def mmar_register_components(registry: Registrar) -> None:
    """Register the aggregators as data; their code is imported when a round needs it."""
    for rule in _RULES:
        name, arguments = rule["name"], rule["arguments"]
        registry.add(
            kind="aggregator",
            name=name,
            target=f"mmar_runner_robust.{rule['module']}:{name}",
            args_schema={
                "type": "object",
                "properties": {**arguments, "exclude_vars": _EXCLUDE},
                "required": [key for key, said in arguments.items() if "default" not in said],
                "additionalProperties": False,
            },
            summary=rule["summary"],
            extras=rule["extras"],
        )
