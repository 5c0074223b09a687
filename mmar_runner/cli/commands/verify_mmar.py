# SPDX-License-Identifier: Apache-2.0
"""``verify-mmar``: what a site would say of an MMAR, rule by rule, before it is asked."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mmar_runner.admission.examination import examine
from mmar_runner.admission.rules import rules_of
from mmar_runner.cli.options import (
    mmar_argument,
    plugins_dir_option,
    required_kit_option,
    set_option,
)
from mmar_runner.cli.output import echo_json, json_option, say
from mmar_runner.cli.starting.kits import open_kit, say_lost_policy
from mmar_runner.cli.starting.validated import parse_settings
from mmar_runner.cli.views.decision_view import decision_lines, steps_json
from mmar_runner.documents.words import counted
from mmar_runner.errors import KitError
from mmar_runner.hooks import load_plugins
from mmar_runner.security.identity import Role
from mmar_runner.security.kits.roles import role_of
from mmar_runner.security.policy.mends import with_command

if TYPE_CHECKING:
    from mmar_runner.admission.examination import Examination


@click.command("verify-mmar")
@mmar_argument
@required_kit_option("The start-up kit of the site (or of the server) that is to judge.")
@click.option(
    "--delivered",
    is_flag=True,
    help="Judge it as if it came over the network: a digest that the site accepted then "
    "does not replace a signature.",
)
@set_option
@plugins_dir_option
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    mmar: Path,
    kit_folder: Path,
    delivered: bool,
    pairs: tuple[str, ...],
    plugins_dir: Path | None,
    as_json: bool,
) -> None:
    """Verify an MMAR as a site does before anything of it runs; nothing is remembered.

    Exit code 0 if the site accepts it, 1 if it does not or the kit is unsound, 2 if the MMAR
    cannot be read or the kit is none.
    """
    kit = open_kit(kit_folder, _judge(kit_folder))
    say_lost_policy(kit)
    question = rules_of(kit).question(
        "delivered" if delivered else "local",
        datetime.now(UTC),
        settings=parse_settings(pairs),
    )
    found = examine(mmar, load_plugins(plugins_dir=plugins_dir).registry, question)
    found = replace(found, decision=with_command(found.decision, kit.folder))
    if as_json:
        echo_json(_as_json(mmar, found))
    else:
        say(*_sentences(mmar, found))
    ctx.exit(0 if found.accepted else 1)


def _judge(kit_folder: Path) -> Role:
    """Return whether the server or a client judges.

    Raises:
        KitError: KIT_ROLE, an administrator has no policy to judge by.
    """
    role = role_of(kit_folder)
    if role is Role.ADMIN:
        msg = f"{kit_folder} is an administrator's start-up kit; a client's or the server's judges"
        hint = "name one of those; `mmar-runner policy explain MMAR --site SITE` takes this one"
        raise KitError(msg, hint=hint, reason="KIT_ROLE")
    return role or Role.CLIENT


def _sentences(mmar: Path, found: Examination) -> list[str]:
    verdict = "accepts" if found.accepted else "refuses"
    lines = [f"{found.decision.site} {verdict} {mmar}", *decision_lines(found.decision)]
    errors = found.validation.report.errors
    if errors:
        count = counted(len(errors), "error")
        lines.append(f"  and it has {count}; the first: {errors[0].message}")
        lines.append(f"      mend: see `mmar-runner validate-mmar {mmar}`")
    return lines


def _as_json(mmar: Path, found: Examination) -> dict[str, Any]:
    manifest = found.signatures.manifest
    return {
        "mmar": str(mmar),
        "accepted": found.accepted,
        "site": found.decision.site,
        "action": found.decision.action,
        "digest": found.decision.digest,
        "byoc": found.validation.facts.byoc,
        "version": None if manifest is None else manifest.version,
        "signers": list(found.signatures.owners),
        "steps": steps_json(found.decision),
        "errors": [
            {"code": f.code, "file": f.file, "line": f.line, "message": f.message, "hint": f.hint}
            for f in found.validation.report.errors
        ],
    }
