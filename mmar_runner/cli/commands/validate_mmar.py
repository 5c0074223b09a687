# SPDX-License-Identifier: Apache-2.0
"""``validate-mmar``: every finding at once, before anything runs."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from mmar_runner import __version__
from mmar_runner.cli.options import allow_byoc_option, plugins_dir_option, set_option
from mmar_runner.cli.output import Invocation, echo_error, harmless_json
from mmar_runner.cli.starting.validated import parse_settings
from mmar_runner.errors import MmarUnreadableError, UsageError
from mmar_runner.hooks import load_plugins
from mmar_runner.mmar.checks.case import Asked
from mmar_runner.mmar.codes import Severity
from mmar_runner.mmar.reports.report import Report, unreadable
from mmar_runner.mmar.validation import validate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mmar_runner.deep.options import DeepOptions
    from mmar_runner.hooks import LoadedPlugins
    from mmar_runner.mmar.sources.configuration import Side
    from mmar_runner.mmar.validation import Validation

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
@click.option(
    "--deep",
    is_flag=True,
    help="Also build the declared networks, without their numbers and in child processes, and "
    "compare them.",
)
@click.option(
    "--dry-run", is_flag=True, help="Also try one round on made-up data, in memory; implies --deep."
)
@click.option(
    "--tree", is_flag=True, help="Also find what combiners, which add updates up, cannot work with."
)
@allow_byoc_option
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
    deep: bool,
    dry_run: bool,
    tree: bool,
    allow_byoc: bool,
    plugins_dir: Path | None,
) -> None:
    """Check MMAR folders completely; nothing of them is imported or run.

    With --deep and --dry-run, child processes build and run what they declare.

    Exit code 0 if there is no error, 1 if there is (with --strict, or a warning), 2 if a
    folder cannot be read.
    """
    values = parse_settings(pairs)
    output = "json" if as_json else output
    _refuse_alone(side, deep=deep, dry_run=dry_run, allow_byoc=allow_byoc)
    plugins = load_plugins(plugins_dir=plugins_dir)
    check = partial(
        validate,
        catalog=plugins.registry,
        side=side,
        settings=values,
        policy=policy,
        asked=Asked(combiners=tree),
    )
    look = _plain(check)
    if deep or dry_run:
        options = _options(values, policy, plugins_dir, allow_byoc=allow_byoc, dry_run=dry_run)
        look = _deep(check, plugins, options, ctx, told=output == "text")
    reports, unread = [], False
    for mmar in mmars:
        try:
            reports.append(look(mmar))
        except MmarUnreadableError as error:
            unread = True
            if output == "text":
                echo_error(error, ctx.ensure_object(Invocation))
            else:
                reports.append(unreadable(str(mmar), error))
    if reports:
        click.echo(_render(reports, output))
    ctx.exit(_UNREADABLE if unread else _exit_code(reports, strict=strict))


def _refuse_alone(side: Side, *, deep: bool, dry_run: bool, allow_byoc: bool) -> None:
    """Refuse options that mean nothing without another.

    Raises:
        UsageError: That is so.
    """
    if dry_run and side != "all":
        msg = f"--dry-run tries both sides, and --side {side} leaves one out"
        raise UsageError(msg, hint="leave --side out; --deep looks at one side alone")
    if allow_byoc and not (deep or dry_run):
        msg = "--allow-byoc lets own code run, and without --deep or --dry-run nothing runs"
        raise UsageError(msg, hint="add --deep or --dry-run")


def _plain(check: Callable[[Path], Validation]) -> Callable[[Path], Report]:
    return lambda mmar: check(mmar).report


def _options(
    values: Mapping[str, Any],
    policy: Path | None,
    plugins_dir: Path | None,
    *,
    allow_byoc: bool,
    dry_run: bool,
) -> DeepOptions:
    # Imported here because an ordinary check needs none of it, and should take no time.
    from mmar_runner.deep.options import DeepOptions  # noqa: PLC0415
    from mmar_runner.security.policy.site_policy import load_policy  # noqa: PLC0415

    rules = None if policy is None else load_policy(policy)
    return DeepOptions(
        # Where a policy refuses it, the ordinary check has an error, and nothing is built.
        own_code=allow_byoc or rules is not None,
        plugins_dir=None if plugins_dir is None else plugins_dir.absolute(),
        allowed_path_prefixes=None if rules is None else rules.allowed_path_prefixes,
        variables=values,
        dry_run=dry_run,
        policy=policy,
    )


def _deep(
    check: Callable[[Path], Validation],
    plugins: LoadedPlugins,
    options: DeepOptions,
    ctx: click.Context,
    *,
    told: bool,
) -> Callable[[Path], Report]:
    """Return what checks an MMAR deeply; all of them share an event loop.

    Args:
        check: The ordinary check.
        plugins: The plugins in force.
        options: What may be run, and for how long.
        ctx: Of the command; closes the event loop.
        told: Whether it is said what is being done.
    """
    import asyncio  # noqa: PLC0415 - as above

    from mmar_runner.cli.views.deep_progress import DeepProgress  # noqa: PLC0415
    from mmar_runner.deep.check import look_deep  # noqa: PLC0415

    runner = ctx.with_resource(asyncio.Runner())

    def look(mmar: Path) -> Report:
        watcher = DeepProgress(mmar.absolute().name) if told else None
        return look_deep(check(mmar), plugins, options, runner, watcher)

    return look


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
