# SPDX-License-Identifier: Apache-2.0
"""Are models measured on other data than they are trained on, as far as declarations tell?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mmar_runner.interfaces.catalog import ComponentKind
from mmar_runner.mmar.checks.train import places

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mmar_runner.documents.json_source import JsonPath
    from mmar_runner.mmar.checks.case import Look
    from mmar_runner.mmar.document import Document

    _Data = tuple[Document, JsonPath, Any]

_DATASET = ComponentKind.DATASET


def check_held_out(look: Look) -> None:
    """Compare the data set that is trained on with all that models are measured on.

    The first data set of the training file is the one that is trained on. If it is like every
    other one, it is the one that differs from what was meant.
    """
    trainer = look.client_parts.singles.get(("client_trainer",))
    train, validation = look.files.train, look.files.validation
    if train is None or trainer is None or trainer.description is None:
        return
    extras = trainer.description.extras
    found = list(_data(look, train, extras.get("train_parts", {})))
    trained, others = found[:1], found[1:]
    if validation is not None:
        others += _data(look, validation, extras.get("validation_parts", {}))
    same = [other for other in others if [other[2]] == [one[2] for one in trained]]
    for document, path, _ in trained if same == others and len(same) > 1 else same:
        where = "trained on" if path != trained[0][1] else "measured on"
        message = f"This is the data set that models are {where}, with the same arguments."
        look.findings.at(document, path, "MMAR642", message)


def _data(look: Look, document: Document, kinds: Mapping[str, str]) -> Iterator[_Data]:
    """Yield every declared data set, with its arguments and their defaults."""
    for pattern, kind in kinds.items():
        for path in places(document.value, pattern) if kind == _DATASET else ():
            spec = look.resolver.resolve(document, path, _DATASET).spec
            if spec is not None:
                known = look.resolver.properties(_DATASET, spec.name)
                defaults = {key: one["default"] for key, one in known.items() if "default" in one}
                yield document, path, (spec.name, {**defaults, **spec.args})
