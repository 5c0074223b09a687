# SPDX-License-Identifier: Apache-2.0
"""Arguments that older components took, and what became of them: data, read by ``sources``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

_EMPTY: Final[Mapping[str, Any]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Arguments:
    """What became of the arguments of one older component.

    Attributes:
        dropped: Arguments that are not needed, each with the reason.
        implied: Values of arguments that were so if nobody declared them, and are not so here.
        to_top: Arguments that are keys of the file now, each with the key.
        off_if_empty: An argument without whose value the component does nothing.
    """

    dropped: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    implied: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)
    to_top: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    off_if_empty: str = ""


_FILE_NAME: Final = "the runner names its files itself"
_READER: Final = "the trainer reads and writes models itself"
_TRAINER: Final = Arguments(
    dropped={
        "model_reader_writer": _READER,
        "integration_config": "it was for another program around the trainer",
    }
)
_SELECTOR: Final = Arguments(implied={"weigh_by_local_iter": False})
_PERSISTOR: Final = Arguments(
    dropped={
        "global_model_file_name": _FILE_NAME,
        "best_global_model_file_name": _FILE_NAME,
    },
    to_top={"source_ckpt_file_full_name": "ckpt_preload_path"},
)

#: By older class name.
ARGUMENTS: Final[Mapping[str, Arguments]] = MappingProxyType(
    {
        "ClientTrainer": _TRAINER,
        "FederatedLearner": _TRAINER,
        "IntimeModelSelectionHandler": _SELECTOR,
        "IntimeModelSelector": _SELECTOR,
        "PTFileModelPersistor": _PERSISTOR,
        "PTModelSaver": _PERSISTOR,
        "SVTProtocol": Arguments(dropped={"replace": "values are drawn without replacement"}),
        "SVTPrivacy": Arguments(dropped={"replace": "values are drawn without replacement"}),
        "ExcludeVars": Arguments(off_if_empty="exclude_vars"),
    }
)
