# SPDX-License-Identifier: Apache-2.0
"""``verify-mmar``: what a site would say of an MMAR, rule by rule, before it is asked."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mmar_runner.cli.admitted import site_rules
from mmar_runner.cli.decision_view import decision_lines, steps_json
from mmar_runner.cli.kits import open_kit
from mmar_runner.cli.options import mmar_argument, required_kit_option
from mmar_runner.cli.output import echo_json, json_option
from mmar_runner.cli.validated import parse_settings
from mmar_runner.hooks import load_plugins
from mmar_runner.mmar.admission import SERVER_SITE, examine
from mmar_runner.mmar.codes import Severity
from mmar_runner.security.identity import Role

if TYPE_CHECKING:
    from mmar_runner.mmar.admission import Examination
    from mmar_runner.mmar.finding import Finding


@click.command("verify-mmar")
@mmar_argument
@required_kit_option("The start-up kit of the site (or of the server) that is to judge.")
@click.option(
    "--delivered",
    is_flag=True,
    help="Judge it as if it came over the network: a digest that the site accepted then "
    "stands in for no signature.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Give a variable of the MMAR a value; repeatable.",
)
@click.option(
    "--plugins-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Also load the one-file plugins (*.py) of this folder.",
)
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    mmar: Path,
    kit_folder: Path,
    delivered: bool,
    settings: tuple[str, ...],
    plugins_dir: Path | None,
    as_json: bool,
) -> None:
    """Verify an MMAR as a site does before anything of it runs; nothing is remembered.

    Exit code 0 if the site accepts it, 1 if it does not, 2 if the folder cannot be read.
    """
    role = Role.SERVER if (kit_folder / "fed_server.json").exists() else Role.CLIENT
    rules = site_rules(open_kit(kit_folder, role))
    is_server = rules.site == SERVER_SITE
    found = examine(
        mmar,
        load_plugins(plugins_dir=plugins_dir).registry,
        rules,
        side="server" if is_server else "client",
        action="upload" if is_server else "run",
        origin="delivered" if delivered else "local",
        now=datetime.now(UTC),
        settings=parse_settings(settings),
    )
    if as_json:
        echo_json(_as_json(mmar, found))
    else:
        click.echo("\n".join(_sentences(mmar, found)))
    ctx.exit(0 if _accepted(found) else 1)


def _accepted(found: Examination) -> bool:
    return found.decision.accepted and found.validation.report.valid


def _errors(found: Examination) -> list[Finding]:
    return [f for f in found.validation.report.findings if f.severity is Severity.ERROR]


def _sentences(mmar: Path, found: Examination) -> list[str]:
    verdict = "accepts" if _accepted(found) else "refuses"
    lines = [f"{found.decision.site} {verdict} {mmar}", *decision_lines(found.decision)]
    errors = _errors(found)
    if errors:
        lines.append(f"  and it has errors: {len(errors)}; the first: {errors[0].message}")
        lines.append(f"      mend: see `mmar-runner validate-mmar {mmar}`")
    return lines


def _as_json(mmar: Path, found: Examination) -> dict[str, Any]:
    manifest = found.signatures.manifest
    return {
        "mmar": str(mmar),
        "accepted": _accepted(found),
        "site": found.decision.site,
        "action": found.decision.action,
        "digest": found.decision.digest,
        "byoc": found.validation.listing.byoc,
        "version": None if manifest is None else manifest.version,
        "signers": list(found.signatures.owners),
        "steps": steps_json(found.decision),
        "errors": [
            {"code": f.code, "file": f.file, "line": f.line, "message": f.message, "hint": f.hint}
            for f in _errors(found)
        ],
    }
