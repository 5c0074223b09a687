# SPDX-License-Identifier: Apache-2.0
"""Options that several commands have, with one name, one meaning and one help text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from mmar_runner.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

_MAX_SEED: Final = (1 << 63) - 1

set_option = click.option(
    "--set",
    "pairs",
    multiple=True,
    metavar="KEY=VALUE",
    help="Give a variable of the MMAR a value; repeatable.",
)

workspace_option = click.option(
    "--workspace",
    type=click.Path(path_type=Path),
    help="Where runs are kept.  [default: ./workspace/<mmar name>]",
)

seed_option = click.option(
    "--seed", type=click.IntRange(0, _MAX_SEED), help="The run's seed.  [default: the MMAR's]"
)

new_run_option = click.option(
    "--new-run", is_flag=True, help="Begin a new run even if the last one is unfinished."
)

retry_failed_option = click.option(
    "--retry-failed",
    is_flag=True,
    help="If the last run has failed, go on with it: with the round in which it failed.",
)


def refuse_both(*, new_run: bool, retry_failed: bool) -> None:
    """Refuse options of which one begins a run and the other goes on with one.

    Raises:
        UsageError: Both are given.
    """
    if new_run and retry_failed:
        msg = "--new-run begins a run, and --retry-failed goes on with the last one"
        raise UsageError(msg, hint="give one of them")


def goes_on_if_failed(*, retry_failed: bool) -> str:
    """Say which command goes on with a run that has failed."""
    command = "the same command" if retry_failed else "the same command with --retry-failed"
    return f"once its cause is mended, {command} goes on with the round in which it failed"


mmar_argument = click.argument("mmar", type=click.Path(path_type=Path))
optional_mmar_argument = click.argument("mmar", required=False, type=click.Path(path_type=Path))

kit_option = click.option(
    "--kit",
    type=click.Path(path_type=Path),
    help="Start-up kit: certificates, trust and policies.",
)

insecure_option = click.option("--insecure", is_flag=True, help="Speak plain text; loopback only.")

allow_byoc_option = click.option(
    "--allow-byoc",
    is_flag=True,
    help="Let the MMAR's own code and expressions run, in a child process.",
)

task_timeout_option = click.option(
    "--task-timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Kill a training task that takes longer.  [default: no limit]",
)

stall_timeout_option = click.option(
    "--stall-timeout",
    "stall_seconds",
    type=click.FloatRange(min=1),
    metavar="SECONDS",
    help="Kill a training task whose steps stop coming for so long.  [default: no limit]",
)

plugins_dir_option = click.option(
    "--plugins-dir",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Also load the one-file plugins (*.py) of this folder.",
)


def durability_option(default: str) -> Callable[[Any], Any]:
    """Give a command ``--durability``, which differs in its default."""
    return click.option(
        "--durability",
        type=click.Choice(["full", "process"]),
        default=default,
        show_default=True,
        help="Whether a receipt waits for the disk, or only survives a crash of the program.",
    )


def required_kit_option(help_text: str) -> Callable[[Any], Any]:
    """Give a command ``--kit DIR``, without which it cannot work, as ``kit_folder``."""
    return click.option(
        "--kit",
        "kit_folder",
        required=True,
        type=click.Path(path_type=Path, file_okay=False),
        metavar="DIR",
        help=help_text,
    )
