# SPDX-License-Identifier: Apache-2.0
"""Where in the MMAR's files a part is declared, for sentences about what it did."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from mmar_runner.documents.json_reader import read_json
from mmar_runner.documents.words import pointer_text
from mmar_runner.interfaces.catalog import ComponentKind
from mmar_runner_monai.parts import name_of

if TYPE_CHECKING:
    from mmar_runner.documents.json_source import JsonPath
    from mmar_runner.interfaces.client_trainer import TrainerContext
    from mmar_runner_monai.parts import Declaration, Parts


def called(parts: Parts, kind: ComponentKind, declaration: Declaration) -> str:
    """Return what a part is called in messages: by its kind, its class and its place.

    Args:
        parts: Has the configurations.
        kind: What it is.
        declaration: An object of one of them; of a reference it is what that leads to.
    """
    origin = parts.origin(declaration)
    place = declared_at(parts.context, origin)
    return f"{kind} '{name_of(origin)}'{f' ({place})' if place else ''}"


def declared_at(context: TrainerContext, declaration: Declaration) -> str | None:
    """Return a place as people write it: ``config/config_train.json:12``.

    Args:
        context: Has the configurations.
        declaration: An object of one of them.

    Returns:
        With the pointer in place of the line, where the file is not there; None if the object
        is of no file.
    """
    files = {
        "config/config_train.json": context.train_config,
        "config/config_validation.json": context.validation_config,
    }
    for file, configuration in files.items():
        path = _way_to(configuration, declaration)
        if path is not None:
            return _line_of(context, file, path)
    return None


def steps_of(
    parts: Parts, section: Declaration, network: object, inferer: object, loss: object = None
) -> dict[str, object]:
    """Return what an engine's steps are done by, by what it is called in messages.

    Args:
        parts: Has the configurations.
        section: What the engine is built from.
        network: What it trains or measures; often the other section declares it.
        inferer: Built; None for the usual one.
        loss: Built; None where there is none.
    """
    training = section if "model" in section else parts.context.train_config.get("train") or {}
    built = (
        (ComponentKind.MODEL, training, network),
        (ComponentKind.INFERER, section, inferer),
        (ComponentKind.LOSS, section, loss),
    )
    return {
        called(parts, kind, where[kind.value]): part
        for kind, where, part in built
        if part is not None and isinstance(where.get(kind.value), Mapping)
    }


def _way_to(value: Any, wanted: Declaration) -> JsonPath | None:
    if value is wanted:
        return ()
    members: Iterable[tuple[str | int, Any]] = ()
    if isinstance(value, Mapping):
        members = value.items()
    elif isinstance(value, list):
        members = enumerate(value)
    for key, child in members:
        below = _way_to(child, wanted)
        if below is not None:
            return (key, *below)
    return None


def _line_of(context: TrainerContext, file: str, path: JsonPath) -> str:
    try:
        text = (context.mmar / file).read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return f"{file}{pointer_text(path)}"
    line, _ = read_json(text).locate(path)
    return f"{file}:{line}"
