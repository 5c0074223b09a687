# SPDX-License-Identifier: Apache-2.0
"""What a function that a configuration holds as text sees of an engine, and what it gives.

Archives were written when an engine kept a whole batch in one mapping, and what a file's header
said in another mapping beside each image. Today a batch is a list of samples after the network
has seen it, and headers belong to the images. The texts mean the same on both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Number
from typing import Any, Final

import torch

from mmar_runner.documents.item_functions import ItemFunction, parse_item_function

_HEADER: Final = "_meta_dict"
_BEGINNING: Final = "lambda"
#: Positions that a function may hold whose results are told: of a list of samples one is
#: taken, and never a voxel of an image.
TOLD_POSITIONS: Final = 1


class Sample(dict[str, Any]):
    """A sample or a batch, in which an image's header is found under its older name."""

    def __missing__(self, key: str) -> Any:
        image = str(key).removesuffix(_HEADER)
        if image != key and image in self and hasattr(self[image], "meta"):
            return self[image].meta
        raise KeyError(key)


@dataclass(frozen=True, slots=True)
class EngineFunction:
    """Such a function, for the state of an engine.

    Attributes:
        function: What was written.
        once: Whether what every sample of a batch has alike, such as the loss, is one number.
    """

    function: ItemFunction
    once: bool = False

    def __call__(self, value: Any) -> Any:
        """Return what the function gives for an output, a batch or an engine.

        Raises:
            LookupError, TypeError: The value has no such item.
        """
        found = self.function(_seen(value))
        return _first(found) if self.once else found


def read_functions(
    arguments: Mapping[str, Any], *, once: bool, most_positions: int | None = None
) -> dict[str, EngineFunction]:
    """Return those of some arguments that are functions as text, by name.

    Args:
        arguments: Of a component.
        once: As `EngineFunction` has it.
        most_positions: How many items each may take by its position; None for any.

    Raises:
        FormatError: A text is a function of another shape than the accepted ones.
    """
    return {
        name: EngineFunction(parse_item_function(text, most_positions=most_positions), once=once)
        for name, text in arguments.items()
        if isinstance(text, str) and text.lstrip().startswith(_BEGINNING)
    }


def _seen(value: Any) -> Any:
    if isinstance(value, list):
        return [_seen(one) for one in value]
    return Sample(value) if isinstance(value, Mapping) else value


def _first(found: Any) -> Any:
    if isinstance(found, dict):
        return {name: _first(one) for name, one in found.items()}
    alike = isinstance(found, list) and bool(found) and all(map(_is_number, found))
    return found[0] if alike else found


def _is_number(value: Any) -> bool:
    return isinstance(value, Number) or (torch.is_tensor(value) and value.ndim == 0)
