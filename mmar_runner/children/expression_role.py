# SPDX-License-Identifier: Apache-2.0
"""A child that looks for regular expressions, which may take for ever: it can be killed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mmar_runner.children.role import Method, Role


class ExpressionRole(Role):
    """Answers ``search``: in which of ``texts`` the regular ``expression`` is found."""

    def methods(self) -> Mapping[str, Method]:
        """Return what can be asked, by name."""
        return {"search": _search}


def _search(params: Mapping[str, Any]) -> dict[str, Any]:
    expression = re.compile(params["expression"])
    return {"found": [text for text in params["texts"] if expression.search(text)]}
