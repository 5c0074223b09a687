# SPDX-License-Identifier: Apache-2.0
"""Do server and trainer declare the same model?

The persistor makes the first model and the trainer loads it, so a difference shows at
the first round at the latest. Defaults that are written out on one side only are no
difference.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mmar_runner.interfaces.catalog import ComponentKind
from mmar_runner.interfaces.nested import nested_places
from mmar_runner.mmar.checks.train import places

if TYPE_CHECKING:
    from mmar_runner.mmar.checks.case import Look
    from mmar_runner.mmar.components.resolving import Resolved

_MODEL = ComponentKind.MODEL


def check_models(look: Look) -> None:
    """Compare the persistor's model with the one in the training file."""
    both, train = look.both(), look.files.train
    persistor = look.server_parts.singles.get(("model_persistor",))
    trainer = look.client_parts.singles.get(("client_trainer",))
    if both is None or train is None or persistor is None or trainer is None:
        return
    if look.findings.with_code("MMAR630"):
        return  # the model is wrong for another reason, which was said
    if persistor.description is not None and persistor.description.extras.get("makes_own_model"):
        _own_model(look, persistor, trainer)
        return
    made = _made_by(persistor)
    if made is None or trainer.description is None:
        return
    for pattern, kind in trainer.description.extras.get("train_parts", {}).items():
        if kind != _MODEL:
            continue
        for path in places(train.value, pattern):
            if look.findings.has_within(train, path):
                continue  # what is wrong with it may be why they differ
            trained = look.resolver.resolve(train, path, _MODEL).spec
            if trained is not None and _identity(look, trained.declaration) != _identity(
                look, made
            ):
                message = "This is not the model that the server's model_persistor makes."
                hint = "Declare the same model with the same arguments on both sides."
                look.findings.at(train, path, "MMAR623", message, hint=hint)


def _own_model(look: Look, persistor: Resolved, trainer: Resolved) -> None:
    """A persistor that makes a model of its own makes nothing for a trainer of declared ones."""
    if trainer.description is None or look.server is None or persistor.spec is None:
        return
    if _MODEL in trainer.description.extras.get("train_parts", {}).values():
        message = (
            f"'{persistor.spec.name}' makes a model of its own, not that of config_train.json."
        )
        hint = f"Declare a model_persistor that makes the model that '{_name(trainer)}' trains."
        look.findings.at(look.server, ("model_persistor",), "MMAR623", message, hint=hint)


def _name(part: Resolved) -> str:
    return part.description.name if part.description is not None else ""


def _made_by(persistor: Resolved) -> Mapping[str, Any] | None:
    """Return the declaration of the only model in a persistor's arguments, or None."""
    if persistor.spec is None or persistor.description is None:
        return None
    args = dict(persistor.spec.args)
    found = [
        p for p, kind in nested_places(persistor.description.args_schema, args) if kind == _MODEL
    ]
    if len(found) != 1:
        return None
    value: Any = args
    for part in found[0]:
        value = value[part]
    declaration: Mapping[str, Any] = value
    return declaration


def _identity(look: Look, declaration: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return name and arguments of a model, with its defaults written out."""
    name = str(declaration.get("path", declaration.get("name")))
    args = dict(declaration.get("args", {}))
    for key, schema in look.resolver.properties(_MODEL, name).items():
        if isinstance(schema, Mapping) and "default" in schema:
            args.setdefault(key, schema["default"])
    return name, args
