# SPDX-License-Identifier: Apache-2.0
"""What clients of a round handed in for each phase of an exchange: on the disk before an answer.

A server that was killed must not answer a phase twice in different ways: whoever holds the first
answer and whoever holds the second could not go on together, and of secrets that are shared out
too much could be asked for. So a phase is over once its payloads are in this file.
"""

from __future__ import annotations

import base64
import json
import logging
from typing import TYPE_CHECKING, TypeAlias

from mmar_runner.storage.atomic import translated, write_json_atomic

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: Payloads by client, by phase, in the order in which the phases were over.
Phases: TypeAlias = "dict[str, dict[str, bytes]]"

_log = logging.getLogger(__name__)


class ExchangeFile:
    """The exchange of the open round; that of an earlier one is written over.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, exchange_id: str) -> Phases:
        """Return the phases that are over; none if the file is of another exchange.

        Args:
            exchange_id: Names round and run, and what the run has done so far.
        """
        try:
            kept = json.loads(self._path.read_bytes())
            if kept["exchange"] != exchange_id:
                return {}
            return {
                phase: {name: base64.b64decode(text) for name, text in payloads.items()}
                for phase, payloads in kept["phases"].items()
            }
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            _log.warning("%s is damaged, its round's exchange begins anew: %s", self._path, error)
            return {}

    def write(self, exchange_id: str, phases: Mapping[str, Mapping[str, bytes]]) -> None:
        """Put the phases that are over on the disk.

        Raises:
            StorageError: They cannot be written.
        """
        plain = {
            phase: {name: base64.b64encode(data).decode() for name, data in payloads.items()}
            for phase, payloads in phases.items()
        }
        write_json_atomic(self._path, {"exchange": exchange_id, "phases": plain}, durable=True)

    def remove(self) -> None:
        """Forget all of it.

        Raises:
            StorageError: It cannot be removed.
        """
        with translated(self._path):
            self._path.unlink(missing_ok=True)
