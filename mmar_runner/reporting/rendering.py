# SPDX-License-Identifier: Apache-2.0
"""Puts values into the page: every text that a run gave is escaped on its way, in one place."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.documents.words import printable
from mmar_runner.errors import ReportError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jinja2 import Environment

_PLACE: Final = Path(__file__).resolve().parent.parent / "_data" / "report"
#: Letters of one text.
_MOST: Final = 1_000


def render(page: Mapping[str, Any]) -> str:
    """Return the page as HTML.

    Args:
        page: What the template is told, by name.

    Raises:
        ReportError: REPORT_NEEDS_JINJA2.
    """
    return _environment().get_template("page.html").render(page)


@cache
def _environment() -> Environment:
    # Deferred: only a page needs it, and it need not be installed.
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415
    except ImportError as error:
        raise ReportError(
            "a page needs jinja2, which is not installed",
            reason="REPORT_NEEDS_JINJA2",
            hint="pip install 'mmar-runner[report]'",
        ) from error
    return Environment(
        loader=FileSystemLoader(_PLACE),
        autoescape=True,
        finalize=_harmless,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def require_templates() -> None:
    """Find out whether a page can be made, before a long journal is read.

    Raises:
        ReportError: REPORT_NEEDS_JINJA2.
    """
    _environment()


def _harmless(value: Any) -> Any:
    """Return a text as one line of bounded length; a drawing, and a number, as they are."""
    if not isinstance(value, str) or hasattr(value, "__html__"):
        return value
    return printable(value if len(value) <= _MOST else f"{value[: _MOST - 3]}...")
