# SPDX-License-Identifier: Apache-2.0
"""Where in the MMAR's files a part is declared, for sentences about what it did."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mmar_runner.documents.json_reader import read_json
from mmar_runner.documents.words import pointer_text

if TYPE_CHECKING:
    from mmar_runner.documents.json_source import JsonPath
    from mmar_runner.interfaces.client_trainer import TrainerContext
    from mmar_runner_monai.parts import Declaration

#: Where sections stand in a file; the file itself is one too.
_SECTIONS: Final[tuple[tuple[str, ...], ...]] = ((), ("train",), ("validate",))


def declared_at(context: TrainerContext, section: Declaration, *below: str | int) -> str | None:
    """Return a place of a section as people write it: ``config/config_train.json:12``.

    Args:
        context: Has the configurations.
        section: An object of one of them.
        below: The way from there.

    Returns:
        With the pointer in place of the line, where the file is not there; None if the section
        is of no file.
    """
    files = {
        "config/config_train.json": context.train_config,
        "config/config_validation.json": context.validation_config,
    }
    for file, configuration in files.items():
        for path in _SECTIONS:
            if (configuration.get(path[0]) if path else configuration) is section:
                return _line_of(context, file, (*path, *below))
    return None


def _line_of(context: TrainerContext, file: str, path: JsonPath) -> str:
    try:
        text = (context.mmar / file).read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return f"{file}{pointer_text(path)}"
    line, _ = read_json(text).locate(path)
    return f"{file}:{line}"
