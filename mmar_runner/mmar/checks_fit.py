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
from mmar_runner.mmar.checks_train import places

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mmar_runner.documents.json_source import JsonPath
    from mmar_runner.mmar.components import Resolved
    from mmar_runner.mmar.document import Document
    from mmar_runner.mmar.look import Look

    _Part = tuple[JsonPath, Resolved]

_COMPARED = (ComponentKind.MODEL, ComponentKind.LOSS, ComponentKind.DATASET)


def check_fit(look: Look) -> None:
    """Compare the parts that the trainer of the client file reads."""
    train = look.files.train
    trainer = look.client_parts.singles.get(("client_trainer",))
    if train is None or trainer is None or trainer.description is None:
        return
    kinds: Mapping[str, str] = trainer.description.extras.get("train_parts", {})
    # The first data set is the one that is trained on.
    found: dict[ComponentKind, _Part] = {}
    for pattern, kind in kinds.items():
        for path in places(train.value, pattern):
            if ComponentKind(kind) in _COMPARED:
                part = look.resolver.resolve(train, path, ComponentKind(kind))
                found.setdefault(ComponentKind(kind), (path, part))
    model, data = found.get(ComponentKind.MODEL), found.get(ComponentKind.DATASET)
    if model is None or data is None or model[1].spec is None or data[1].spec is None:
        return
    yields = _fact(data[1], "yields")
    if yields is not None:
        _inputs(look, train, model, data, yields["shape"])
        if ComponentKind.LOSS in found:
            _outputs(look, train, model, found[ComponentKind.LOSS], yields["classes"])


def _fact(part: Resolved, name: str) -> Any:
    return None if part.description is None else part.description.extras.get(name)


def _inputs(look: Look, train: Document, model: _Part, data: _Part, shape: list[int]) -> None:
    takes = _fact(model[1], "takes")
    if takes is None:
        return
    theirs, name = _name(data[1]), _name(model[1])
    if len(takes) != len(shape):
        message = f"'{name}' takes inputs of {len(takes)} dimensions; '{theirs}' gives {shape}."
        hint = "Declare a model for such inputs, or another data set."
        look.findings.at(train, model[0], "MMAR630", message, hint=hint)
        return
    for argument, length in zip(takes, shape, strict=True):
        value = None if argument is None else _argument(look, model[1], argument)
        if value is not None and value != length:
            message = f"'{name}' takes {argument} {value}; '{theirs}' gives {length}."
            _at(look, train, _place(train, model, argument), message, f"Write {length}.")


def _outputs(look: Look, train: Document, model: _Part, loss: _Part, classes: int) -> None:
    gives, labels = _fact(model[1], "gives"), _fact(loss[1], "labels")
    if gives is None or labels is None or loss[1].spec is None:
        return
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
