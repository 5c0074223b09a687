# SPDX-License-Identifier: Apache-2.0
"""``audit verify|show``: whether an audit log is whole, and what it says."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import click

from mmar_runner.cli.groups import Group
from mmar_runner.cli.output import echo_json, json_option, say
from mmar_runner.documents.words import counted
from mmar_runner.security.audit.reading import read_audit, verify_audit

_file = click.argument(
    "file", type=click.Path(path_type=Path, dir_okay=False, exists=True), metavar="FILE"
)
_NOBODY: Final = "-"


@click.group("audit", cls=Group)
def command() -> None:
    """Verify and show the audit logs of servers and sites."""


@command.command("verify")
@_file
@json_option
def verify(file: Path, as_json: bool) -> None:
    """Check that no line of FILE was altered, removed, moved or cut off.

    Exit code 1, with the line, if one was.
    """
    summary = verify_audit(file)
    if as_json:
        echo_json({"file": str(file), **asdict(summary)})
        return
    period = f", from {summary.first} to {summary.last}" if summary.lines else ""
    say(f"{file}: {counted(summary.lines, 'line')}, whole{period}")
    say(f"head: {summary.head}")


@command.command("show")
@_file
@click.option(
    "--decision",
    type=click.Choice(["accepted", "refused", "noted"]),
    help="Only lines with that decision.",
)
@json_option
def show(file: Path, decision: str | None, as_json: bool) -> None:
    """Show the lines of FILE, each one checked as it is read."""
    chosen = (line for line in read_audit(file) if decision in {None, line["decision"]})
    if as_json:
        echo_json({"file": str(file), "lines": list(chosen)})
        return
    for line in chosen:
        say(_shown(line))


def _shown(line: dict[str, Any]) -> str:
    # What the log holds was made harmless when it was written, and its hash was checked.
    facts = json.dumps(line["data"], ensure_ascii=False) if line["data"] else ""
    names = (line["who"] or _NOBODY, line["peer"] or _NOBODY)
    decided = " ".join(filter(None, (line["decision"], line["reason"])))
    words = (f"{line['seq']:>6}", line["time"], line["action"], decided, *names, facts)
    return "  ".join(words).rstrip()
