# SPDX-License-Identifier: Apache-2.0
"""``upgrade-mmar``: an older archive, written anew in the words of today."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mmar_runner.cli.options import plugins_dir_option
from mmar_runner.cli.output import echo_json, json_option, say
from mmar_runner.cli.rewritten import require_free, unlisted, write_upgraded
from mmar_runner.documents.words import counted
from mmar_runner.hooks import load_plugins
from mmar_runner.mmar.codes import Severity
from mmar_runner.mmar.finding import Findings
from mmar_runner.mmar.folder import open_folder
from mmar_runner.mmar.reports.as_json import finding_json
from mmar_runner.mmar.upgrading.plan import plan_upgrade
from mmar_runner.mmar.validation import validate

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mmar_runner.mmar.finding import Finding


@click.command("upgrade-mmar")
@click.argument("mmar", type=click.Path(path_type=Path), metavar="MMAR")
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    metavar="DIRECTORY",
    help="Write the upgraded MMAR here: a folder that is not there, or empty.",
)
@click.option("--without-models", is_flag=True, help="Leave out what lies in models/.")
@plugins_dir_option
@json_option
def command(
    mmar: Path, out: Path, without_models: bool, plugins_dir: Path | None, as_json: bool
) -> None:
    """Write an older MMAR anew in the words of today, and list every change.

    The MMAR itself stays as it is; nothing of it is imported or run. What somebody must decide
    is listed last, and is no failure.
    """
    catalog = load_plugins(plugins_dir=plugins_dir).registry
    survey = Findings()
    folder = open_folder(mmar, survey)
    require_free(out, folder.root)
    not_listed = unlisted(survey)
    plan = plan_upgrade(folder, catalog)
    left_out = write_upgraded(folder, plan.texts, out, models=not without_models)
    left_out |= not_listed
    found = validate(out, catalog).report.findings
    remaining = [finding for finding in found if finding.severity is Severity.ERROR]
    if as_json:
        echo_json(
            {
                "mmar": str(mmar),
                "out": str(out),
                "generation": plan.generation,
                "rewritten": sorted(plan.texts),
                "changes": [_change(finding) for finding in plan.changes],
                "left_out": [{"file": f, "reason": reason} for f, reason in left_out.items()],
                "remaining": [finding_json(finding) for finding in remaining],
            }
        )
        return
    say(f"{mmar} ({plan.generation}) is written anew as {out}")
    lines = [*_listed(plan.changes)] or ["  nothing had to change"]
    lines += [f"  left out: {file}: {reason}" for file, reason in left_out.items()]
    say(*lines)
    if remaining:
        say("", f"To be decided by somebody ({counted(len(remaining), 'error')}):")
        say(*_listed(remaining, hints=True))


def _change(finding: Finding) -> dict[str, Any]:
    keys = ("code", "file", "line", "pointer", "message")
    return {key: value for key, value in finding_json(finding).items() if key in keys}


def _listed(findings: Iterable[Finding], *, hints: bool = False) -> list[str]:
    """Return findings as lines, file after file; a line number is that of the older file."""
    lines, file = [], None
    for finding in findings:
        if finding.file != file:
            file = finding.file
            lines.append(f"  {file}")
        place = f"{finding.line}: " if finding.line else ""
        lines.append(f"    {place}{finding.message}")
        if hints and finding.hint:
            lines.append(f"      {finding.hint}")
    return lines
