# SPDX-License-Identifier: Apache-2.0
"""What every command shares: its invocation's settings, JSON output, error output.

Results go to standard output, everything else to standard error, so that ``--json``
can be piped into another program.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from mmar_runner.documents.words import printable
from mmar_runner.errors import MmarInvalidError, MmarRunnerError, RunStoppedError, TaskFailedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(slots=True)
class Invocation:
    """How the program was called; commands receive it with ``@click.pass_obj``.

    Attributes:
        verbose: 0 for warnings, 1 (``-v``) for progress and tracebacks, 2 for everything.
        log_format: ``text`` or ``json``.
        json: True if a command is called with ``--json``: errors are JSON then too,
            wrong usage included.
    """

    verbose: int = 0
    log_format: str = "text"
    json: bool = False


def json_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command ``--json`` (its parameter ``as_json``); errors follow it."""
    option = click.option(
        "--json", "as_json", is_flag=True, help="Write the result (or the error) as JSON."
    )
    return option(function)


def say(*lines: str, err: bool = False) -> None:
    """Write lines for people: a terminal obeys nothing that a peer, a file or a name put there.

    Args:
        lines: A line break within one is shown, and begins none.
        err: Write to standard error.
    """
    click.echo("\n".join(map(printable, lines)), err=err)


def echo_json(value: Any) -> None:
    """Write a value to standard output as indented JSON; NaN is refused."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    click.echo(harmless_json(text))


def harmless_json(text: str) -> str:
    """Return JSON with an escape for whatever in its texts is not printable."""
    # In a text of JSON a line break is escaped already.
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)


def echo_error(
    error: MmarRunnerError, invocation: Invocation, *, steps: list[dict[str, Any]] | None = None
) -> None:
    """Write an error the way the invocation asks for: a sentence and a mend, or JSON.

    Args:
        error: The error.
        invocation: How the program was called.
        steps: What every rule said, if the error is the word of rules; for JSON.
    """
    if invocation.json:
        body: dict[str, Any] = {
            "reason": error.reason,
            "message": error.message,
            "hint": error.hint,
        }
        if isinstance(error, MmarInvalidError) and error.findings:
            body["findings"] = list(error.findings)
        echo_json({"error": body if steps is None else {**body, "steps": steps}})
        return
    if isinstance(error, RunStoppedError):  # no error: it was asked for, and can be resumed
        click.echo(_folded(error.message), err=True)
    else:
        echo_sentence(error.reason, error.message)
    if error.hint:
        echo_hint(error.hint)
    if invocation.verbose and isinstance(error, TaskFailedError) and error.details:
        say(*error.details.rstrip().split("\n"), err=True)


def echo_sentence(reason: str, message: str) -> None:
    """Write why a command failed to standard error, with the reason's stable id."""
    click.echo(f"{_styled(f'error [{printable(reason)}]:', 'red')} {_folded(message)}", err=True)


def echo_hint(hint: str) -> None:
    """Write the mend to standard error."""
    click.echo(f"{_styled('hint:', 'cyan')} {_folded(hint)}", err=True)


def _folded(message: str) -> str:
    """Return a message with its further lines indented: none of them looks like our own."""
    first, *more = map(printable, message.split("\n"))
    return "\n".join([first, *(f"    {line.lstrip()}" for line in more)])


def write_traceback(error: BaseException) -> Path:
    """Write an unexpected error's traceback to a file of its own and return its path."""
    # Deferred: both cost more than the rest of `--help`, and are for bugs only.
    import tempfile  # noqa: PLC0415
    import traceback  # noqa: PLC0415
    from pathlib import Path  # noqa: PLC0415

    with tempfile.NamedTemporaryFile(
        "w", prefix="mmar-runner-", suffix=".traceback", delete=False, encoding="utf-8"
    ) as file:
        file.writelines(traceback.format_exception(error))
    return Path(file.name)


def _styled(text: str, colour: str) -> str:
    coloured = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    return click.style(text, fg=colour, bold=True) if coloured else text
