# SPDX-License-Identifier: Apache-2.0
"""Names and shapes of a declared network's tensors, where its plugin states them.

A model states in ``extras`` the shapes of its float32 tensors by name (``tensors``), a length
being a number, an argument, or ``[FACTOR, ARGUMENT]``; or that it is a row of fully connected
``layers``: the arguments that hold their ``lengths`` (a number or a list of them), and the
``step`` from one layer's number to the next, which arguments may make larger (``wider``).
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.interfaces.catalog import ComponentKind
from mmar_runner.mmar.checks.case import whole
from mmar_runner.mmar.checks.places import places
from mmar_runner.mmar.checks.train import resolve_part

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mmar_runner.documents.json_source import JsonPath
    from mmar_runner.mmar.checks.case import Look
    from mmar_runner.mmar.document import Document

    Shapes = dict[str, tuple[int, ...]]

_MODEL = ComponentKind.MODEL
#: More layers than anybody declares by hand are not looked at.
_LAYERS: Final = 1000


def trained_models(look: Look, train: Document) -> Iterator[tuple[JsonPath, Mapping[str, Any]]]:
    """Yield place and declaration of every network that the trainer of the client file reads."""
    trainer = look.client_parts.singles.get(("client_trainer",))
    if trainer is None or trainer.description is None:
        return
    for pattern, kind in trainer.description.extras.get("train_parts", {}).items():
        for path in places(train.value, pattern) if kind == _MODEL else ():
            found = resolve_part(look.resolver, train, path, _MODEL).spec
            if found is not None:
                yield path, found.declaration


def with_defaults(look: Look, declaration: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return name and arguments of a model, with its defaults written out."""
    written = str(declaration.get("path", declaration.get("name")))
    args = dict(declaration.get("args", {}))
    for key, schema in look.resolver.properties(_MODEL, written).items():
        if "default" in schema:
            args.setdefault(key, schema["default"])
    found = look.resolver.described(_MODEL, written)
    # A class is the same one by its name and by its path.
    return written if found is None or found.path_prefix else found.name, args


def shapes_of(look: Look, declaration: Mapping[str, Any]) -> Shapes | None:
    """Return the shapes of a declared network's tensors by name; None if they are not known."""
    name, args = with_defaults(look, declaration)
    facts = look.resolver.facts(_MODEL, name)
    try:
        if "layers" in facts:
            return _of_layers(facts["layers"], args)
        return _of_tensors(facts["tensors"], args) if "tensors" in facts else None
    except ValueError:
        return None  # a variable that nothing defines, which is said elsewhere


def _of_layers(fact: Mapping[str, Any], args: Mapping[str, Any]) -> Shapes:
    """Return weight and bias of fully connected layers, which are numbered."""
    lengths: list[int] = []
    for name in fact["lengths"]:
        value = args.get(name)
        several = value if isinstance(value, list) else [value]
        lengths += [_length(one, args) for one in several]
    if len(lengths) > _LAYERS:
        raise ValueError("too many layers")
    step = fact["step"] + sum(1 for name in fact.get("wider", ()) if args.get(name))
    shapes: Shapes = {}
    for index, (before, after) in enumerate(pairwise(lengths)):
        shapes[f"{index * step}.weight"] = (after, before)
        shapes[f"{index * step}.bias"] = (after,)
    return shapes


def _of_tensors(fact: Mapping[str, Any], args: Mapping[str, Any]) -> Shapes:
    return {name: tuple(_length(one, args) for one in shape) for name, shape in fact.items()}


def _length(stated: Any, args: Mapping[str, Any]) -> int:
    """Return a length that is stated as a number, an argument, or a multiple of one.

    Raises:
        ValueError: It is no number.
    """
    if isinstance(stated, list):
        factor, name = stated
        return int(factor) * _length(name, args)
    found = whole(args.get(stated) if isinstance(stated, str) else stated)
    if found is None:
        raise ValueError(f"{stated!r} is no length")
    return found
