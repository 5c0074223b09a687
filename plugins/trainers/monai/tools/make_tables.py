# SPDX-License-Identifier: Apache-2.0
"""Writes the tables of MONAI's and Ignite's parts from what is installed.

It is called once for a version of MONAI, and its output is committed::

    python plugins/trainers/monai/tools/make_tables.py

Nothing looks at MONAI when a configuration is checked: what a name means, where its class
is and what it takes stands in ``mmar_runner_monai/tables/KIND.json``. With ``--check`` the
tables are compared with what would be written, which is what a test does.
"""

from __future__ import annotations

import inspect
import json
import math
import sys
import warnings
from collections.abc import Iterator
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from annotations import accepted
from choices import (
    CLOSED,
    DATALOADERS,
    DATASETS,
    ENGINES,
    GIVEN,
    HANDLERS,
    IGNITE_HANDLERS,
    IGNITE_METRICS,
    INFERERS,
    INSTEAD,
    LIMITS,
    LR_SCHEDULERS,
    METRICS,
    NO_ITEM_FUNCTIONS,
    NO_NETWORKS,
    OPTIMIZERS,
    PASSED_ON,
    TOLD,
    WORDS,
    WRITTEN,
)
from older import OLDER_CLASSES, OWN, upgrades_of
from packages import PACKAGES
from words import closed, words_of

from mmar_runner.documents.item_functions import MOST_POSITIONS
from mmar_runner_monai.functions import TOLD_POSITIONS

TABLES: Final = Path(__file__).parents[1] / "mmar_runner_monai" / "tables"
#: Types of arguments that may be words of an enumeration.
_WORDS: Final = (
    *("string", ["string", "null"], ["string", "integer"], ["string", "array"]),
    ["string", "array", "null"],
)
_LIMITED: Final = {"integer", "number"}


def main() -> int:
    """Write the tables, or compare them."""
    warnings.simplefilter("ignore")
    wrong = 0
    for kind, entries in tables().items():
        file = TABLES / f"{kind}.json"
        text = written(entries)
        if "--check" not in sys.argv:
            file.write_text(text)
        elif not file.is_file() or file.read_text() != text:
            sys.stdout.write(f"{file} is not what MONAI {_version()} makes of it\n")
            wrong = 1
    return wrong


def _version() -> str:
    return str(import_module("monai").__version__)


def written(entries: dict[str, Any]) -> str:
    """Return a table as text: an entry a line, so that a difference is readable."""
    lines = (f"{json.dumps(name)}: {json.dumps(entries[name])}" for name in sorted(entries))
    return "{\n" + ",\n".join(lines) + "\n}\n"


def tables() -> dict[str, dict[str, Any]]:
    """Return every table, by kind."""
    made: dict[str, dict[str, Any]] = {
        "transform": dict(_transforms()),
        "model": dict(_networks()),
        "loss": dict(_named("loss", "monai.losses", _losses())),
        "dataset": dict(_named("dataset", "monai.data", DATASETS)),
        "dataloader": dict(_named("dataloader", "monai.data", DATALOADERS)),
        "inferer": dict(_named("inferer", "monai.inferers", INFERERS)),
        "engine": dict(_named("engine", "monai.engines", ENGINES)),
        "optimizer": dict(_named("optimizer", "monai.optimizers", OPTIMIZERS)),
        "lr_scheduler": dict(_named("lr_scheduler", "monai.optimizers", LR_SCHEDULERS)),
        "metric": dict(_metrics()),
        "engine_handler": {
            **dict(_named("engine_handler", "monai.handlers", HANDLERS)),
            **dict(_named("engine_handler", "ignite.handlers", IGNITE_HANDLERS)),
        },
    }
    for kind, older in OWN.items():
        made[kind].update(older)
    for kind, name, becomes, rules, paths in OLDER_CLASSES:
        if name not in made[kind]:
            made[kind][name] = {
                "target": made[kind][becomes]["target"],
                "paths": paths,
                "summary": f"Now {becomes}.",
                "facts": {"becomes": becomes, "upgrades": rules},
            }
    return made


def _named(kind: str, module: str, names: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    for name in names:
        yield name, entry_of(kind, name, getattr(import_module(module), name), f"{module}.{name}")


def _losses() -> list[str]:
    losses, module = import_module("monai.losses"), import_module("torch").nn.Module
    return [
        name
        for name, found in vars(losses).items()
        if inspect.isclass(found) and issubclass(found, module)
        if name == found.__name__ and name not in NO_NETWORKS
    ]


def _networks() -> Iterator[tuple[str, dict[str, Any]]]:
    nets, module = import_module("monai.networks.nets"), import_module("torch").nn.Module
    others = _other_names(nets)
    for name in others:
        found = getattr(nets, name)
        if issubclass(found, module) and name not in NO_NETWORKS:
            entry = entry_of("model", name, found, f"monai.networks.nets.{name}")
            yield name, {**entry, "aliases": sorted(others[name])}


def _other_names(module: Any) -> dict[str, list[str]]:
    """Return the classes of a module by their own name, with the other names they have there."""
    found = {n: c for n, c in vars(module).items() if inspect.isclass(c) and not n.startswith("_")}
    own = {c.__name__: c for n, c in found.items() if n == c.__name__}
    return {
        name: [n for n, c in found.items() if c is cls and n != name] for name, cls in own.items()
    }


def _transforms() -> Iterator[tuple[str, dict[str, Any]]]:
    module = import_module("monai.transforms")
    base = import_module("monai.transforms.transform").Transform
    others = _other_names(module)
    for name in others:
        found = getattr(module, name)
        if issubclass(found, base) and not inspect.isabstract(found) and _is_public(found):
            entry = entry_of("transform", name, found, f"monai.transforms.{name}")
            yield name, {**entry, "aliases": sorted(others[name])}


def _is_public(found: Any) -> bool:
    """Return True for what is no base class of others and can be named in a list."""
    return found.__module__.rpartition(".")[2] not in {"transform", "traits", "compose", "inverse"}


def _metrics() -> Iterator[tuple[str, dict[str, Any]]]:
    handlers, ignite = import_module("monai.handlers"), import_module("ignite.metrics")
    for name, aliases in METRICS.items():
        entry = entry_of("metric", name, getattr(handlers, name), f"monai.handlers.{name}")
        yield name, {**entry, "aliases": list(aliases)}
    for name, own in IGNITE_METRICS.items():
        yield own, entry_of("metric", name, getattr(ignite, name), f"ignite.metrics.{name}")


def entry_of(kind: str, name: str, found: Any, path: str) -> dict[str, Any]:
    """Return what a table says of a class."""
    parameters, is_open = _parameters(found)
    given = GIVEN.get(kind, frozenset())
    properties, required = {}, []
    for parameter in parameters:
        schema = None if parameter.name in given else _schema(kind, name, parameter)
        if schema is not None:
            properties[parameter.name] = schema
            # What is a class here, a subclass gives to its base.
            of_base = str(parameter.annotation).startswith("type[")
            if parameter.default is parameter.empty and not of_base:
                required.append(parameter.name)
    properties.update(PASSED_ON.get(name, {}))
    is_open = is_open and name not in PASSED_ON
    target = f"{found.__module__}:{found.__name__}"
    entry: dict[str, Any] = {"target": target, "properties": properties, "required": required}
    entry["summary"] = f"{found.__name__} of {'Ignite' if path.startswith('ignite') else 'MONAI'}."
    if path != target.replace(":", "."):
        entry["paths"] = [path]
    if is_open:
        entry["together"] = {"additionalProperties": True}
    upgrades = upgrades_of(kind, name, properties, is_open=is_open)
    facts = {
        "upgrades": upgrades,
        "packages": PACKAGES.get((kind, name)),
        "undeclarable": _undeclarable(kind, name, found),
    }
    if any(facts.values()):
        entry["facts"] = {fact: value for fact, value in facts.items() if value}
    return entry


def _undeclarable(kind: str, name: str, found: Any) -> dict[str, str] | None:
    """Return what a class needs that no JSON value gives, and what to use instead.

    Raises:
        SystemExit: Nobody has said what to use instead.
    """
    given = GIVEN.get(kind, frozenset())
    needed = [
        one
        for one in inspect.signature(found).parameters.values()
        if one.default is one.empty and one.kind not in {one.VAR_KEYWORD, one.VAR_POSITIONAL}
        if one.name not in given and not str(one.annotation).startswith("type[")
    ]
    for one in needed:
        if (name, one.name) in NO_ITEM_FUNCTIONS or _schema(kind, name, one) is None:
            if name not in INSTEAD:
                sys.exit(f"choices.INSTEAD has no row for {name}: nothing gives its {one.name!r}")
            return {"argument": one.name, "instead": INSTEAD[name]}
    return None


def _parameters(found: Any) -> tuple[list[inspect.Parameter], bool]:
    """Return the parameters of a constructor, and whether it takes any others.

    Where a class passes keywords on to its base, those of the base are its own too.
    """
    known: dict[str, inspect.Parameter] = {}
    for cls in found.__mro__:
        if "__init__" not in vars(cls):
            continue
        every = list(inspect.signature(cls.__init__).parameters.values())[1:]
        kinds = {one.kind for one in every}
        for one in every:
            if one.kind not in {one.VAR_KEYWORD, one.VAR_POSITIONAL}:
                known.setdefault(one.name, one)
        if inspect.Parameter.VAR_KEYWORD not in kinds:
            return list(known.values()), False
    return list(known.values()), True


def _schema(kind: str, name: str, parameter: inspect.Parameter) -> dict[str, Any] | None:
    """Return the schema of an argument; None if it cannot be written in JSON."""
    made = _unlimited(kind, name, parameter)
    return made if made is None else limited(kind, made)


def limited(kind: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema, in which a function takes no more positions than its kind may."""
    if schema.get("format") != "item-function" or kind not in TOLD:
        return schema
    return {**schema, MOST_POSITIONS: TOLD_POSITIONS}


def _unlimited(kind: str, name: str, parameter: inspect.Parameter) -> dict[str, Any] | None:
    if (name, parameter.name) in WRITTEN:
        return dict(WRITTEN[name, parameter.name])
    may_be = accepted(str(parameter.annotation))
    if not may_be.possible:
        return None
    default, is_known = _default(parameter)
    if is_known and default is None and not may_be.anything:
        may_be.types.add("null")
    schema = may_be.schema()
    types = schema.get("type", ())
    if _LIMITED & ({types} if isinstance(types, str) else set(types)):
        schema.update(LIMITS.get(parameter.name, {}))
    schema.update(CLOSED.get(parameter.name, {}))
    if (kind, parameter.name) in WORDS and types == "string":
        schema = {"enum": WORDS[kind, parameter.name]}
    elif types in _WORDS:
        words = words_of(
            *(kind, name, parameter.name, str(parameter.annotation), parameter.default)
        )
        schema = schema if words is None else closed(schema, words)
    if is_known and _fits(default, schema):
        schema["default"] = default
    return schema


def _default(parameter: inspect.Parameter) -> tuple[Any, bool]:
    """Return a parameter's default as JSON has it, and whether it has one."""
    value = parameter.default
    if value is parameter.empty:
        return None, False
    return _as_json(value)


def _as_json(value: Any) -> tuple[Any, bool]:
    if isinstance(value, Enum):
        return _as_json(value.value)
    if isinstance(value, tuple | list):
        items = [_as_json(item) for item in value]
        return [item for item, _ in items], all(known for _, known in items)
    if value is None or isinstance(value, bool | int | str):
        return value, True
    if isinstance(value, float) and math.isfinite(value):
        return value, True
    return None, False


def _fits(value: Any, schema: dict[str, Any]) -> bool:
    from mmar_runner.documents.schema_check import faults  # noqa: PLC0415

    return not faults(schema, value)


if __name__ == "__main__":
    sys.exit(main())
