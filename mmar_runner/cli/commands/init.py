# SPDX-License-Identifier: Apache-2.0
"""``init mmar|plugin``: new work that runs from its first minute."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mmar_runner.cli.groups import Group
from mmar_runner.cli.new_names import class_of, name_of, package_of, require_free
from mmar_runner.cli.output import echo_json, json_option, say
from mmar_runner.cli.templates import plugin_kinds, write_plugin, write_template
from mmar_runner.interfaces.catalog import ComponentKind

if TYPE_CHECKING:
    from collections.abc import Sequence

_folder = click.argument("folder", metavar="NAME", type=click.Path(path_type=Path))


@click.group("init", cls=Group)
def command() -> None:
    """Begin a new MMAR or plugin from a template."""


@command.command("mmar")
@_folder
@json_option
def mmar(folder: Path, as_json: bool) -> None:
    """Write an MMAR folder NAME that validates and runs as it is.

    It trains a small PyTorch network on data that need no download.
    """
    name = name_of(folder)
    files = write_template(["mmar"], folder, {"name": name})
    _report(
        folder,
        files,
        [f"mmar-runner validate-mmar {folder}", f"mmar-runner simulate {folder} --clients 3"],
        as_json=as_json,
    )


@command.command("plugin")
@_folder
@click.option(
    "--kind",
    type=click.Choice(plugin_kinds()),
    default=ComponentKind.AGGREGATOR.value,
    show_default=True,
    help="What the plugin brings.",
)
@json_option
def plugin(folder: Path, kind: str, as_json: bool) -> None:
    """Write an installable plugin NAME: a component, its registration and its tests.

    Its README says how an MMAR uses it.
    """
    name = name_of(folder)
    require_free(name, kind)
    values = {"name": name, "package": package_of(name), "Class": class_of(name)}
    files = write_plugin(kind, folder, values)
    _report(
        folder,
        files,
        [f"pip install -e '{folder}[test]'", "mmar-runner plugins doctor", f"pytest {folder}"],
        as_json=as_json,
    )


def _report(folder: Path, files: Sequence[Path], commands: Sequence[str], *, as_json: bool) -> None:
    if as_json:
        echo_json({"folder": str(folder), "files": [str(f) for f in files], "next": commands})
        return
    for path in files:
        say(f"  {path}")
    say("", "Next:", *(f"  {line}" for line in commands))
