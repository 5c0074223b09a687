# SPDX-License-Identifier: Apache-2.0
"""A server with a start-up kit: says what it may run, and for whom."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmar_runner.admission.audit_line import OwnLog
from mmar_runner.admission.deployment import deployed, record_sites, require_sites
from mmar_runner.admission.local import LocalMmar, admitted
from mmar_runner.cli.output import say
from mmar_runner.cli.starting.kits import open_kit, say_lost_policy
from mmar_runner.cli.starting.validated import require_valid
from mmar_runner.errors import NotAuthorizedError
from mmar_runner.security.identity import Role
from mmar_runner.security.redaction import Redaction
from mmar_runner.server.trust import ServerTrust

if TYPE_CHECKING:
    from pathlib import Path

    from mmar_runner.admission.deployment import Deployment
    from mmar_runner.hooks import LoadedPlugins
    from mmar_runner.mmar.spec import MmarSpec
    from mmar_runner.security.policy.site_policy import SitePolicy


def open_trust(
    kit_folder: Path, mmar: LocalMmar, plugins: LoadedPlugins, role: Role = Role.SERVER
) -> tuple[MmarSpec, ServerTrust]:
    """Return what a server may run under its kit, and for which sites.

    Args:
        kit_folder: The server's start-up kit.
        mmar: What it is asked to run.
        plugins: The plugins in force.
        role: Whose kit it is: a server's, or a combiner's.

    Raises:
        MmarError: The MMAR cannot be read, or has findings of severity error.
        TrustError: The kit does not hold, a rule refuses the MMAR here, or too few sites
            may run it.
    """
    kit = open_kit(kit_folder, role)
    say_lost_policy(kit)
    admission, rules = admitted(
        mmar, plugins.registry, kit, lambda found: require_valid(mmar.folder, found.validation)
    )
    _say_what_is_idle(rules.policy)
    deployment = deployed(admission, rules.authorization, kit)
    _say_who_and_how_many(deployment)
    log = OwnLog(mmar.workspace / "audit.jsonl", kit)
    try:
        require_sites(deployment)
    except NotAuthorizedError as error:
        record_sites(log, admission, deployment, reason=error.reason)
        raise
    record_sites(log, admission, deployment)
    trust = ServerTrust(kit, deployment.decisions, rules.policy.allowed_path_prefixes)
    return deployment.spec, trust


def _say_what_is_idle(policy: SitePolicy) -> None:
    """Say which rules of the server's own policy have nothing to act on: it trains nothing."""
    for key, given in (
        ("mandatory_filters", any(policy.mandatory_filters.values())),
        ("trainer", bool(policy.trainer)),
        ("redaction", policy.redaction is not Redaction.EVERYTHING),
    ):
        if given:
            place = policy.place(key)
            where = f"{place.file}:{place.line}" if place else "site_policy.json"
            say(f"{where}: {key} does nothing at a server; sites have their own", err=True)


def _say_who_and_how_many(deployment: Deployment) -> None:
    for name, mmar, kits in deployment.changed:
        say(f"{name} is {kits}: the kit's, not the MMAR's {mmar}", err=True)
    for site, message in deployment.refusals.items():
        say(f"{site} will not take part: {message}", err=True)
