# SPDX-License-Identifier: Apache-2.0
"""Are models measured on other data than they are trained on, as far as declarations tell?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mmar_runner.interfaces.catalog import ComponentKind
from mmar_runner.mmar.checks.places import places
from mmar_runner.mmar.checks.train import resolve_part
from mmar_runner.mmar.sources.keys import KEYS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mmar_runner.documents.json_source import JsonPath
    from mmar_runner.mmar.checks.case import Look
    from mmar_runner.mmar.document import Document


_DATASET = ComponentKind.DATASET


@dataclass(frozen=True, slots=True)
class _Data:
    """A place where a data set is declared, its name, and all that is said of it.

    None stands for what is wrong.
    """

    document: Document
    path: JsonPath
    declared: tuple[str, dict[str, Any]] | None


def check_held_out(look: Look) -> None:
    """Compare the data set that is trained on with all that models are measured on.

    The first data set that the trainer reads is the one that is trained on. If it is like each
    of several others, it is the one that differs from what was meant.
    """
    trainer = look.client_parts.singles.get(("client_trainer",))
    train, validation = look.files.train, look.files.validation
    if train is None or trainer is None or trainer.description is None:
        return
    extras = trainer.description.extras
    patterns = _patterns(extras.get("train_parts", {}))
    first = next(_data(look, train, patterns[:1]), None)
    measured = list(_data(look, train, patterns[1:]))
    if validation is not None:
        measured += _data(look, validation, _patterns(extras.get("validation_parts", {})))
    if first is None or first.declared is None:
        return  # what is wrong with it was said
    same = [data for data in measured if data.declared == first.declared]
    if len(same) > 1 and same == measured:
        _say(look, first, "measured")
        return
    for data in same:
        _say(look, data, "trained")


def _say(look: Look, data: _Data, used: str) -> None:
    message = f"This is the data set that models are {used} on, with the same arguments."
    look.findings.at(data.document, data.path, "MMAR642", message)


def _patterns(kinds: Mapping[str, str]) -> list[str]:
    """Return where data sets stand, of all parts."""
    return [pattern for pattern, kind in kinds.items() if kind == _DATASET]


def _data(look: Look, document: Document, patterns: list[str]) -> Iterator[_Data]:
    """Yield every place of a data set, with what is declared there and its defaults."""
    for pattern in patterns:
        for path in places(document.value, pattern):
            spec = resolve_part(look.resolver, document, path, _DATASET).spec
            if spec is None:
                yield _Data(document, path, None)
                continue
            known = look.resolver.properties(_DATASET, spec.name)
            defaults = {key: one["default"] for key, one in known.items() if "default" in one}
            beside = {k: v for k, v in document.get(path).items() if k not in KEYS}
            yield _Data(document, path, (spec.name, {**defaults, **spec.args, **beside}))
