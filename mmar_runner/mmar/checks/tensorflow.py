# SPDX-License-Identifier: Apache-2.0
"""Is a workflow TensorFlow's? Then nobody here runs it, and that is all there is to say of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mmar_runner.mmar.checks.case import Look

#: Facts of those who read workflow files.
_READS: Final = frozenset({"train_schema", "train_parts", "validation_schema", "validation_parts"})


def check_tensorflow(look: Look) -> None:
    """Report workflow files of TensorFlow, once, unless nobody would read them."""
    if not look.files.tensorflow or not _is_read(look):
        return
    document, mark = look.files.tensorflow[0]
    message = (
        "This workflow is TensorFlow's, of Clara Train 3.1: it declares no PyTorch network,"
        " and no trainer here runs it."
    )
    hint = (
        "Usable as they are: the federated configuration, environment.json and the data list."
        " Losses, transforms, inferers and metrics have counterparts with other arguments:"
        " see docs/reference/clara-compatibility.md."
    )
    look.findings.at(document, mark, "MMAR220", message, hint=hint, key=True)


def _is_read(look: Look) -> bool:
    """Return True if a component reads workflow files, or a trainer that is not known may."""
    parts = (*look.server_parts.every(), *look.client_parts.every())
    known = [part.description for part in parts if part.description is not None]
    trainer = look.client_parts.singles.get(("client_trainer",))
    unknown = trainer is not None and trainer.description is None
    return unknown or any(_READS & description.extras.keys() for description in known)
