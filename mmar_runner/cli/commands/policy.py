# SPDX-License-Identifier: Apache-2.0
"""``policy explain|accept|block``: which rule decides, and a site's own word on a digest."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from mmar_runner.cli.groups import Group
from mmar_runner.cli.options import (
    mmar_argument,
    plugins_dir_option,
    required_kit_option,
    set_option,
)
from mmar_runner.cli.output import echo_json, json_option, say
from mmar_runner.cli.views.decision_view import decision_lines, steps_json
from mmar_runner.errors import UsageError
from mmar_runner.mmar.codes import NOT_INSTALLED
from mmar_runner.security.policy.authorization import ACTIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mmar_runner.admission.examination import Examination, Question
    from mmar_runner.interfaces.catalog import ComponentCatalog
    from mmar_runner.mmar.finding import Finding
    from mmar_runner.security.decision import Decision
    from mmar_runner.security.kits.kit import StartupKit
    from mmar_runner.security.policy.edit import Verdict
    from mmar_runner.security.policy.judgement import Policies

_POLICY_FILE: Final = "site_policy.json"


@click.group("policy", cls=Group)
def command() -> None:
    """Explain which rule decides about an MMAR; accept or block one at a site."""


@command.command("explain")
@mmar_argument
@required_kit_option("Anybody's start-up kit: of a site, of the server, of an administrator.")
@click.option("--site", help="The site to ask about.  [default: the kit's own, else server]")
@click.option("--user", help="For whom.  [default: who signed it, else the kit's administrator]")
@click.option(
    "--action",
    type=click.Choice(list(ACTIONS)),
    default="deploy",
    show_default=True,
    help="What is to be done.",
)
@click.option(
    "--policy",
    "policy_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The site's own policy, if it is not in this kit.",
)
@click.option(
    "--delivered",
    is_flag=True,
    help="Explain it as if it came over the network, also at the kit's own site.",
)
@set_option
@plugins_dir_option
@json_option
@click.pass_context
def explain_decision(
    ctx: click.Context,
    mmar: Path,
    kit_folder: Path,
    site: str | None,
    user: str | None,
    action: str,
    policy_file: Path | None,
    delivered: bool,
    pairs: tuple[str, ...],
    plugins_dir: Path | None,
    as_json: bool,
) -> None:
    """Say which rules accept or refuse an MMAR at a site, and what would change it.

    Exit code 0 if every rule accepts it, 1 if one refuses or the kit is unsound, 2 if the MMAR
    cannot be read or the kit is none.
    """
    # Deferred: the other commands of the group need none of it.
    from mmar_runner.mmar.manifest import listed_ahead  # noqa: PLC0415

    # Modules and the kit are loaded while other threads hash, which takes as long.
    with listed_ahead(mmar) as ahead:
        from mmar_runner.admission.examination import examine  # noqa: PLC0415
        from mmar_runner.cli.starting.validated import parse_settings  # noqa: PLC0415
        from mmar_runner.hooks import load_plugins  # noqa: PLC0415

        kit, settings = _kit(kit_folder), parse_settings(pairs)
        question = replace(
            _question(kit, site, policy_file, delivered=delivered, settings=settings),
            action=action,
            users=None if user is None else (user,),
            # Only `run` needs the signatures at once.
            must_be_signed=action == "run",
        )
        listing = None if ahead is None else ahead.result
        catalog = load_plugins(plugins_dir=plugins_dir).registry
        found = examine(mmar, catalog, question, listing)
    found = replace(found, decision=_with_command(found.decision, kit))
    decision = found.decision
    errors = _errors(mmar, catalog, found, question)
    if as_json:
        echo_json(_as_json(found, question.policies, valid=not errors))
    else:
        say(*_sentences(found, mmar, question.policies, errors))
    ctx.exit(0 if decision.accepted else 1)


def _kit(folder: Path) -> StartupKit:
    from mmar_runner.cli.starting.kits import open_kit  # noqa: PLC0415 - needs cryptography
    from mmar_runner.security.identity import Role  # noqa: PLC0415
    from mmar_runner.security.kits.roles import role_of  # noqa: PLC0415

    return open_kit(folder, role_of(folder) or Role.CLIENT)


def _question(
    kit: StartupKit,
    site: str | None,
    policy_file: Path | None,
    *,
    delivered: bool,
    settings: Mapping[str, Any],
) -> Question:
    """Return what a site asks, or what is asked in its place as far as it is known here."""
    from mmar_runner.admission.rules import rules_of  # noqa: PLC0415 - as above
    from mmar_runner.cli.starting.kits import say_lost_policy  # noqa: PLC0415
    from mmar_runner.security.identity import Role  # noqa: PLC0415
    from mmar_runner.security.policy.authorization import SERVER_SITE  # noqa: PLC0415
    from mmar_runner.security.policy.site_policy import load_policy  # noqa: PLC0415

    say_lost_policy(kit)
    rules = rules_of(kit)
    is_admin = kit.identity.role is Role.ADMIN
    asked = site or (SERVER_SITE if is_admin else rules.site)
    own = not is_admin and asked == rules.site
    question = rules.question(
        "local" if own and not delivered else "delivered",
        datetime.now(UTC),
        site=asked,
        own=own,
        policy=None if policy_file is None else load_policy(policy_file),
        settings=settings,
    )
    return replace(question, asker=kit.identity.name if is_admin else None)


def _with_command(decision: Decision, kit: StartupKit) -> Decision:
    """Name the command by which the site would accept it, with its kit if it is this one."""
    from mmar_runner.admission.rules import site_of  # noqa: PLC0415 - as above
    from mmar_runner.security.policy.mends import with_command  # noqa: PLC0415

    return with_command(decision, kit.folder if decision.site == site_of(kit) else None)


def _errors(
    mmar: Path, catalog: ComponentCatalog, found: Examination, question: Question
) -> tuple[Finding, ...]:
    """Return the errors of the asked side, else those of the other, without which none runs."""
    from mmar_runner.mmar.validation import validate  # noqa: PLC0415 - as above

    if errors := found.validation.report.errors:
        return errors
    listing = found.validation.listing
    other = validate(mmar, catalog, settings=question.settings, listing=lambda: listing).report
    # A site does not have what only the server needs, nor the server what only sites do; an
    # administrator asks for all.
    elsewhere = frozenset() if question.asker is not None else NOT_INSTALLED
    return tuple(error for error in other.errors if error.code not in elsewhere)


def _sentences(
    found: Examination, mmar: Path, policies: Policies, errors: tuple[Finding, ...]
) -> list[str]:
    decision = found.decision
    verdict = "may" if decision.accepted else "may not"
    users = ", ".join(decision.users) or "an unknown user"
    known = ", as far as is known here" if policies.site_policy is None else ""
    lines = [f"{users} {verdict} {decision.action} {mmar} at {decision.site}{known}"]
    lines += decision_lines(decision, every_place=True)
    if policies.site_policy is None:
        lines.append(f"  The own policy of {decision.site} is not known here; --policy names it.")
    faults = [error for error in errors if error.code not in NOT_INSTALLED]
    if faults:
        lines.append(f"  The validator refuses it anyway: {faults[0].message}")
        lines.append(f"      mend: see `mmar-runner validate-mmar {mmar}`")
    elif errors:
        lines.append(f"  The validator cannot check all of it here: {errors[0].message}")
        lines.append("      mend: install the plugin here, or give --plugins-dir")
    return lines


def _as_json(found: Examination, policies: Policies, *, valid: bool) -> dict[str, Any]:
    decision = found.decision
    known = (policies.authorization, policies.site_policy)
    documents = [one.document for one in known if one is not None and one.document is not None]
    return {
        "accepted": decision.accepted,
        "valid": valid,
        "action": decision.action,
        "site": decision.site,
        "users": list(decision.users),
        "digest": decision.digest,
        "policy_sha256": {document.file: document.sha256 for document in documents},
        "steps": steps_json(decision),
    }


_digest_argument = click.argument("digest")
_site_kit_option = click.option(
    "--kit",
    "kit_folder",
    required=True,
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    metavar="DIR",
    help="The start-up kit of the site, or of the server, whose policy it is.",
)


@command.command("accept")
@_digest_argument
@_site_kit_option
@json_option
def accept(digest: str, kit_folder: Path, as_json: bool) -> None:
    """Write into this site's policy that the MMAR with DIGEST was reviewed and may run."""
    _record(digest, kit_folder, "accept", as_json=as_json)


@command.command("block")
@_digest_argument
@_site_kit_option
@json_option
def block(digest: str, kit_folder: Path, as_json: bool) -> None:
    """Write into this site's policy that the MMAR with DIGEST never runs here.

    It needs no server, and no certificate that still holds.
    """
    _record(digest, kit_folder, "block", as_json=as_json)


def _record(digest: str, kit_folder: Path, verdict: Verdict, *, as_json: bool) -> None:
    from mmar_runner.security.identity import Role  # noqa: PLC0415
    from mmar_runner.security.kits.roles import role_of  # noqa: PLC0415
    from mmar_runner.security.policy.edit import record_digest  # noqa: PLC0415 - as above

    if role_of(kit_folder) not in {Role.SERVER, Role.COMBINER, Role.CLIENT}:
        msg = f"{kit_folder} is not the start-up kit of a site"
        raise UsageError(msg, hint="only a site, or the server, has a policy of its own")
    change = record_digest(kit_folder / _POLICY_FILE, digest, verdict)
    if as_json:
        echo_json(
            {
                "policy": str(change.policy),
                "digest": change.digest,
                "verdict": verdict,
                "changed": list(change.changed),
            }
        )
        return
    what = f"changed {', '.join(change.changed)}" if change.changed else "it said so already"
    say(f"{change.policy} {verdict}s {change.digest}: {what}")
