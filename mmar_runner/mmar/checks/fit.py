# SPDX-License-Identifier: Apache-2.0
"""Do network, loss and data fit each other, as far as their plugins say what they take?

A data set states in ``extras`` what it yields (``yields``: the ``shape`` of an input, the
number of ``classes`` of its labels), a model the arguments that hold the lengths of its
input's dimensions (``takes``, None for any length) and of its output (``gives``), a loss what
it compares outputs with (``labels``: ``classes``, one output each, or ``values``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mmar_runner.interfaces.catalog import ComponentKind
from mmar_runner.mmar.checks.places import places
from mmar_runner.mmar.checks.train import resolve_part

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mmar_runner.documents.json_source import JsonPath
    from mmar_runner.mmar.checks.case import Look
    from mmar_runner.mmar.components.resolving import Resolved
    from mmar_runner.mmar.document import Document

    _Part = tuple[JsonPath, Resolved]

_COMPARED = (ComponentKind.MODEL, ComponentKind.LOSS, ComponentKind.DATASET)


def check_fit(look: Look) -> None:
    """Compare the parts that the trainer of the client file reads."""
    train = look.files.train
    trainer = look.client_parts.singles.get(("client_trainer",))
    if train is None or trainer is None or trainer.description is None:
        return
    extras = trainer.description.extras
    parts = list(_parts(look, train, extras.get("train_parts", {})))
    model, loss, data = (_first(parts, kind) for kind in _COMPARED)
    if model is None:
        return
    if data is not None:
        fits = _trained_on(look, train, model, data)
        if loss is not None:
            _outputs(look, train, model, loss, _fact(data[1], "yields"))
        if not fits:
            return  # and so nothing like it fits
    others = [(train, part) for part in parts if part is not data]
    if look.files.validation is not None:
        validation = look.files.validation
        found = _parts(look, validation, extras.get("validation_parts", {}))
        others += [(validation, part) for part in found]
    for document, part in others:
        if _kind(part) is ComponentKind.DATASET:
            _measured_on(look, document, model, part)


def fitted_arguments(look: Look) -> frozenset[str]:
    """Return the arguments of the trained model whose values data and loss leave no choice in.

    It is for a model in which nothing was found.
    """
    train, trainer = look.files.train, look.client_parts.singles.get(("client_trainer",))
    if train is None or trainer is None or trainer.description is None:
        return frozenset()
    parts = list(_parts(look, train, trainer.description.extras.get("train_parts", {})))
    model, loss, data = (_first(parts, kind) for kind in _COMPARED)
    if model is None or data is None or _fact(data[1], "yields") is None:
        return frozenset()
    fitted = {*(_fact(model[1], "takes") or ())}
    if loss is not None and _fact(loss[1], "labels") == "values":
        fitted.add(_fact(model[1], "gives"))
    return frozenset(fitted - {None})


def _parts(look: Look, document: Document, kinds: Mapping[str, str]) -> Iterator[_Part]:
    """Yield what is declared in a workflow file and is of a kind that is compared."""
    for pattern, name in kinds.items():
        kind = ComponentKind(name)
        for path in places(document.value, pattern) if kind in _COMPARED else ():
            part = resolve_part(look.resolver, document, path, kind)
            if part.spec is not None:
                yield path, part


def _kind(part: _Part) -> ComponentKind | None:
    return None if part[1].spec is None else part[1].spec.kind


def _first(parts: list[_Part], kind: ComponentKind) -> _Part | None:
    """Return the first part of a kind; the first data set is the one that is trained on."""
    return next((part for part in parts if _kind(part) is kind), None)


def _fact(part: Resolved, name: str) -> Any:
    return None if part.description is None else part.description.extras.get(name)


def _trained_on(look: Look, train: Document, model: _Part, data: _Part) -> bool:
    """Return True if the model takes what it is trained on; say it otherwise."""
    found = list(_differences(look, model, data))
    for argument, message, hint in found:
        where = model[0] if argument is None else _place(train, model, argument)
        _at(look, train, where, message, hint)
    return not found


def _measured_on(look: Look, document: Document, model: _Part, data: _Part) -> None:
    for _, message, _ in _differences(look, model, data):
        hint = "Declare a data set like the one that is trained on."
        _at(look, document, data[0], message, hint)


def _differences(look: Look, model: _Part, data: _Part) -> Iterator[tuple[str | None, str, str]]:
    """Yield in what inputs differ: the model's argument, if it is one, a sentence, the mend."""
    takes, yields = _fact(model[1], "takes"), _fact(data[1], "yields")
    if takes is None or yields is None:
        return
    shape, theirs, name = yields["shape"], _name(data[1]), _name(model[1])
    if len(takes) != len(shape):
        message = f"'{name}' takes inputs of {len(takes)} dimensions; '{theirs}' gives {shape}."
        yield None, message, "Declare a model for such inputs, or another data set."
        return
    for argument, length in zip(takes, shape, strict=True):
        value = None if argument is None else _argument(look, model[1], argument)
        if value is not None and value != length:
            message = f"'{name}' takes {argument} {value}; '{theirs}' gives {length}."
            yield argument, message, f"Write {length}."


def _outputs(look: Look, train: Document, model: _Part, loss: _Part, yields: Any) -> None:
    gives, labels = _fact(model[1], "gives"), _fact(loss[1], "labels")
    if gives is None or labels is None or yields is None:
        return
    classes = yields["classes"]
    length, name = _argument(look, model[1], gives), _name(loss[1])
    if labels == "classes" and length < classes:
        message = f"'{name}' needs an output for each of {classes} classes; there are {length}."
        hint = f"Write {classes}, or another loss."
        _at(look, train, _place(train, model, gives), message, hint)
    if labels == "values" and length != 1:
        message = f"'{name}' compares one output with a label; there are {length} outputs."
        _at(look, train, _place(train, model, gives), message, "Write 1, or another loss.")


def _name(part: Resolved) -> str:
    return part.spec.name if part.spec is not None else ""


def _argument(look: Look, part: Resolved, argument: str) -> Any:
    """Return the value of an argument, or its default."""
    if part.spec is None:
        return None
    known = look.resolver.properties(part.spec.kind, part.spec.name)
    return part.spec.args.get(argument, known.get(argument, {}).get("default"))


def _place(train: Document, model: _Part, argument: str) -> JsonPath:
    """Return where an argument stands, or the model that has its default."""
    path = (*model[0], "args", argument)
    return path if train.get(path) is not None else model[0]


def _at(look: Look, train: Document, where: JsonPath, message: str, hint: str) -> None:
    look.findings.at(train, where, "MMAR630", message, hint=train.explain(where, hint))
