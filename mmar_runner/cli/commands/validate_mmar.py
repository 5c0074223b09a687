# SPDX-License-Identifier: Apache-2.0
"""``validate-mmar``: every finding at once, before anything runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from mmar_runner import __version__
from mmar_runner.cli.options import plugins_dir_option, set_option
from mmar_runner.cli.output import Invocation, echo_error, harmless_json
from mmar_runner.cli.starting.validated import parse_settings
from mmar_runner.errors import MmarUnreadableError
from mmar_runner.hooks import load_plugins
from mmar_runner.mmar.codes import Severity
from mmar_runner.mmar.reports.report import Report, unreadable
from mmar_runner.mmar.validation import validate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mmar_runner.mmar.sources.configuration import Side

_FINDINGS: Final = 1
_UNREADABLE: Final = 2
_COLOURS: Final = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.NOTE: "cyan"}


@click.command("validate-mmar")
@click.argument(
    "mmars", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="MMAR..."
)
@click.option(
    "--side",
    type=click.Choice(["server", "client", "all"]),
    default="all",
    show_default=True,
    help="Whose components must be installed here.",
)
@click.option(
    "--policy",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Judge by this site policy (site_policy.json).",
)
@set_option
@click.option(
    "--format",
    "output",
    type=click.Choice(["text", "json", "sarif", "github"]),
    default="text",
    show_default=True,
    help="How findings are written.",
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option("--strict", is_flag=True, help="Exit with 1 for warnings too.")
@plugins_dir_option
@click.pass_context
def command(
    ctx: click.Context,
    mmars: tuple[Path, ...],
    side: Side,
    policy: Path | None,
    pairs: tuple[str, ...],
    output: str,
    as_json: bool,
    strict: bool,
    plugins_dir: Path | None,
) -> None:
    """Check MMAR folders completely; nothing of them is imported or run.

    Exit code 0 if there is no error, 1 if there is (with --strict, or a warning), 2 if a
    folder cannot be read.
    """
    values = parse_settings(pairs)
    catalog = load_plugins(plugins_dir=plugins_dir).registry
    output = "json" if as_json else output
    reports, unread = [], False
    for mmar in mmars:
        try:
            checked = validate(mmar, catalog, side=side, settings=values, policy=policy)
            reports.append(checked.report)
        except MmarUnreadableError as error:
            unread = True
            if output == "text":
                echo_error(error, ctx.ensure_object(Invocation))
            else:
                reports.append(unreadable(str(mmar), error))
    if reports:
        click.echo(_render(reports, output))
    ctx.exit(_UNREADABLE if unread else _exit_code(reports, strict=strict))


def _exit_code(reports: Sequence[Report], *, strict: bool) -> int:
    counted = {Severity.ERROR, Severity.WARNING} if strict else {Severity.ERROR}
    found = any(report.count(severity) for report in reports for severity in counted)
    return _FINDINGS if found else 0


def _render(reports: Sequence[Report], output: str) -> str:
    # Each is imported here because a call needs one of them.
    if output == "json":
        from mmar_runner.mmar.reports.as_json import render_json  # noqa: PLC0415

        return harmless_json(render_json(reports))
    if output == "sarif":
        from mmar_runner.mmar.reports.sarif import render_sarif  # noqa: PLC0415

        return render_sarif(reports, version=__version__)
    if output == "github":
        from mmar_runner.mmar.reports.github import render_github  # noqa: PLC0415

        return render_github(reports)
    from mmar_runner.mmar.reports.text import render_text  # noqa: PLC0415

    return render_text(reports, _paint)


def _paint(text: str, severity: Severity) -> str:
    return click.style(text, fg=_COLOURS[severity]) if sys.stdout.isatty() else text
