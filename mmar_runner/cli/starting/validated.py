# SPDX-License-Identifier: Apache-2.0
"""Validates an MMAR before a command runs it; shared by every command that runs one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mmar_runner.cli.logging import apply_log_levels
from mmar_runner.cli.output import say
from mmar_runner.documents.words import counted
from mmar_runner.errors import MmarInvalidError, MmarUnreadableError
from mmar_runner.mmar.checks.settings import unused_words
from mmar_runner.mmar.codes import Severity
from mmar_runner.mmar.reports.as_json import finding_json
from mmar_runner.mmar.sources.variables import ANY_CLIENT, parse_setting
from mmar_runner.mmar.validation import validate

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path

    from mmar_runner.hooks import LoadedPlugins
    from mmar_runner.mmar.checks.case import Asked
    from mmar_runner.mmar.sources.configuration import Side
    from mmar_runner.mmar.spec import MmarSpec
    from mmar_runner.mmar.validation import Validation

#: Settings that nobody uses, or only the other side; or that nobody will find.
_SETTINGS: Final = frozenset({"MMAR303", "MMAR305", "MMAR307"})
#: Warnings that are said before a run; an older archive may have a hundred.
_MOST_WARNINGS: Final = 5


def parse_settings(pairs: Iterable[str]) -> dict[str, Any]:
    """Turn ``KEY=VALUE`` pairs of ``--set`` into a mapping; the last of a key wins.

    Raises:
        UsageError: A pair has no ``=`` or no name before it.
    """
    return dict(parse_setting(pair) for pair in pairs)


def validated(
    folder: Path,
    plugins: LoadedPlugins,
    *,
    side: Side,
    settings: Mapping[str, Any],
    client_name: str = ANY_CLIENT,
) -> MmarSpec:
    """Return what an MMAR says, or say on stderr what is wrong with it.

    Args:
        folder: The MMAR.
        plugins: The plugins in force.
        side: Which side must be runnable.
        settings: The ``--set`` values.
        client_name: The client whose view of it is returned.

    Raises:
        MmarUnreadableError: The folder cannot be read.
        MmarInvalidError: It has findings of severity error, which were printed.
    """
    validation = checked(folder, plugins, side=side, settings=settings)
    spec = validation.spec_for(client_name)
    if spec is None:
        msg = f"{folder} cannot be read as an MMAR"
        raise MmarUnreadableError(msg)
    return spec


def checked(
    folder: Path,
    plugins: LoadedPlugins,
    *,
    side: Side,
    settings: Mapping[str, Any],
    also: str = "",
    unasked: Collection[str] = (),
    asked: Asked | None = None,
) -> Validation:
    """Return a validation without errors, or say on stderr what is wrong.

    Args:
        folder: The MMAR.
        plugins: The plugins in force.
        side: Which side must be runnable.
        settings: The ``--set`` values.
        also: What `validate-mmar` must be told beside the folder to find the same.
        unasked: Settings that nobody gave: if no file uses one, nothing is said.
        asked: What the run is asked for in place of what the MMAR says.

    Raises:
        MmarUnreadableError: The folder cannot be read.
        MmarInvalidError: It has findings of severity error, which were printed.
    """
    validation = validate(folder, plugins.registry, side=side, settings=settings, asked=asked)
    require_valid(folder, validation, also=also, unasked=unasked)
    return validation


def require_valid(
    folder: Path, validation: Validation, *, also: str = "", unasked: Collection[str] = ()
) -> None:
    """Say on stderr what is wrong with an MMAR, and set the log levels that it asks for.

    Args:
        folder: The MMAR.
        validation: Of it.
        also: What `validate-mmar` must be told beside the folder to find the same.
        unasked: See `checked`.

    Raises:
        MmarInvalidError: It has findings of severity error, or holds variables that nobody
            defines here; they were printed.
    """
    errors = (*validation.report.errors, *validation.unfilled)
    for finding in errors:
        place = f"{finding.file}:{finding.line}:{finding.column}"
        say(f"{place}: {finding.code}: {finding.message}", err=True)
        if finding.hint:
            say(f"    hint: {finding.hint}", err=True)
    if errors:
        msg = f"{folder} has {counted(len(errors), 'error')}; nothing was started"
        found = [finding_json(finding) for finding in errors]
        raise MmarInvalidError(
            msg, hint=f"mmar-runner validate-mmar {folder}{also}", findings=found
        )
    say_settings(validation, unasked)
    say_warnings(folder, validation)
    if validation.spec is not None:
        apply_log_levels(validation.spec.log_levels)


def say_settings(validation: Validation, unasked: Collection[str] = ()) -> None:
    """Say on stderr which ``--set`` does nothing here, or not what it should: nobody sees that."""
    idle = {unused_words(name) for name in unasked}
    for finding in validation.report.findings:
        if finding.code in _SETTINGS and finding.message not in idle:
            hint = f" {finding.hint}" if finding.hint else ""
            say(f"warning: --set: {finding.message}{hint}", err=True)


def say_warnings(folder: Path, validation: Validation) -> None:
    """Say on stderr what is doubtful about an MMAR that runs now: it may be why it fails later.

    An undefined variable is left out: what of it keeps this side from running was an error.
    """
    said = {*_SETTINGS, "MMAR301"}
    findings = validation.report.findings
    doubts = [f for f in findings if f.severity is Severity.WARNING and f.code not in said]
    for found in doubts[:_MOST_WARNINGS]:
        hint = f" {found.hint}" if found.hint else ""
        place = f"{found.file}:{found.line}:{found.column}"
        say(f"warning: {place}: {found.code}: {found.message}{hint}", err=True)
    if len(doubts) > _MOST_WARNINGS:
        more = counted(len(doubts) - _MOST_WARNINGS, "further warning")
        say(f"warning: {more}: mmar-runner validate-mmar {folder}", err=True)
