# SPDX-License-Identifier: Apache-2.0
"""A child that writes updates in a codec: it has numpy, which a session has not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmar_runner.children.role import Method, Role
from mmar_runner.storage.codecs import CODECS
from mmar_runner.storage.encoding import encode_file


class CodecRole(Role):
    """Answers ``encode``: reads ``source``, writes ``destination`` in a ``codec``."""

    def methods(self) -> Mapping[str, Method]:
        """Return what can be asked, by name."""
        return {"encode": _encode}


def _encode(params: Mapping[str, Any]) -> dict[str, Any]:
    codec = CODECS[params["codec"]]
    return {"error": encode_file(Path(params["source"]), Path(params["destination"]), codec)}
