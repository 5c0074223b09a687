# SPDX-License-Identifier: Apache-2.0
"""``import-bundle``: an MMAR made of a MONAI bundle, which is read as data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mmar_runner.cli.new_names import name_of
from mmar_runner.cli.options import plugins_dir_option
from mmar_runner.cli.output import echo_json, json_option, say
from mmar_runner.cli.templates import template_text
from mmar_runner.documents.words import counted, printable
from mmar_runner.errors import ComponentNotFoundError, MmarInvalidError, UsageError
from mmar_runner.hooks import load_plugins
from mmar_runner.interfaces.catalog import ComponentKind
from mmar_runner.mmar.bundle.declared import declared
from mmar_runner.mmar.bundle.plan import plan_import
from mmar_runner.mmar.bundle.standing import BundleFact
from mmar_runner.mmar.bundle.told import as_json as plan_json
from mmar_runner.mmar.bundle.told import as_lines, readme
from mmar_runner.mmar.codes import Severity
from mmar_runner.mmar.finding import Findings
from mmar_runner.mmar.folder import survey
from mmar_runner.mmar.reports.as_json import finding_json

if TYPE_CHECKING:
    from mmar_runner.interfaces.catalog import ComponentCatalog
    from mmar_runner.mmar.bundle.plan import Plan
    from mmar_runner.mmar.folder import MmarFolder

_LOG_CONFIG = "resources/log.config"
_BLOCK_BYTES = 1024 * 1024


@click.command("import-bundle")
@click.argument("bundle", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option(
    "--out",
    "mmar",
    required=True,
    type=click.Path(path_type=Path),
    metavar="MMAR",
    help="The folder that is written; it must not be there, or be empty.",
)
@click.option(
    "--train",
    metavar="FILE",
    help="The training configuration, in the bundle.  [default: configs/train.json or .yaml]",
)
@click.option(
    "--evaluate",
    metavar="FILE",
    help="What it is evaluated with besides.  [default: configs/evaluate.json or .yaml, if there]",
)
@json_option
@plugins_dir_option
def command(
    bundle: Path,
    mmar: Path,
    train: str | None,
    evaluate: str | None,
    as_json: bool,
    plugins_dir: Path | None,
) -> None:
    """Write an MMAR that federates the MONAI bundle BUNDLE.

    The bundle is read as data: no expression in it is evaluated, nothing of it imported. What is
    said afterwards: what was taken, where it holds expressions, which a site must allow, and what
    has to be decided.
    """
    name = name_of(mmar)
    _require_new(mmar)
    catalog = load_plugins(plugins_dir=plugins_dir).registry
    findings = Findings()
    folder = survey(bundle, findings)
    plan = plan_import(folder, catalog, _fact(catalog), findings, train=train, evaluate=evaluate)
    _require_readable(bundle, findings)
    files = declared(plan, name)
    _write(folder, plan, mmar, {file: _text(value) for file, value in files.items()}, name)
    commands = [f"mmar-runner validate-mmar {mmar}"]
    if as_json:
        echo_json({"mmar": str(mmar), **plan_json(plan), "next": commands})
        return
    say(f"{mmar} is written", *map(printable, as_lines(plan)), "", "Next:", f"  {commands[0]}")


def _fact(catalog: ComponentCatalog) -> BundleFact:
    found = catalog.find(ComponentKind.CLIENT_ALGO, "MonaiAlgo")
    fact = None if found is None else BundleFact.of(found.extras)
    if fact is None:
        msg = "no installed plugin trains MONAI bundles"
        raise ComponentNotFoundError(msg, hint="pip install mmar-runner-monai")
    return fact


def _require_new(mmar: Path) -> None:
    if mmar.exists() and (not mmar.is_dir() or any(mmar.iterdir())):
        message = f"{mmar} exists and is not an empty folder"
        raise UsageError(message, hint="choose another name, or move it away")


def _require_readable(bundle: Path, findings: Findings) -> None:
    errors = [f for f in findings.result(strict=False) if f.severity is Severity.ERROR]
    for finding in errors:
        place = f"{finding.file}:{finding.line}:{finding.column}"
        say(printable(f"{place}: {finding.code}: {finding.message}"), err=True)
    if errors:
        msg = f"{bundle} has {counted(len(errors), 'error')}; nothing was written"
        raise MmarInvalidError(msg, findings=[finding_json(finding) for finding in errors])


def _write(folder: MmarFolder, plan: Plan, mmar: Path, texts: dict[str, str], name: str) -> None:
    texts = {
        **texts,
        _LOG_CONFIG: template_text(f"mmar/{_LOG_CONFIG}"),
        "docs/Readme.md": readme(plan, name),
    }
    try:
        for file, text in texts.items():
            _new(mmar / file).write_text(text, "utf-8")
        for file, source in plan.copies.items():
            with folder.open(source) as stream, _new(mmar / file).open("xb") as output:
                while block := stream.read(_BLOCK_BYTES):
                    output.write(block)
    except OSError as error:
        raise UsageError(f"{mmar} cannot be written: {error}") from error


def _new(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _text(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
