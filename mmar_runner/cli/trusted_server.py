# SPDX-License-Identifier: Apache-2.0
"""A server with a start-up kit: what it may run, and for whom."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mmar_runner.cli.admitted import admitted, record_sites
from mmar_runner.cli.kits import open_kit
from mmar_runner.cli.output import say
from mmar_runner.errors import MmarUnreadableError, NotAuthorizedError
from mmar_runner.mmar.admission import decide_for_sites
from mmar_runner.mmar.variables import ANY_CLIENT
from mmar_runner.security.identity import Role
from mmar_runner.server.trust import ServerTrust

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mmar_runner.hooks import LoadedPlugins
    from mmar_runner.mmar.spec import MmarSpec, ServerSpec
    from mmar_runner.security.kits.kit import StartupKit
    from mmar_runner.security.policy.site_policy import SitePolicy


def open_trust(
    kit_folder: Path,
    mmar: Path,
    plugins: LoadedPlugins,
    workspace: Path,
    *,
    settings: Mapping[str, Any],
) -> tuple[MmarSpec, ServerTrust]:
    """Return what a server may run under its kit, and for which sites.

    Args:
        kit_folder: The server's start-up kit.
        mmar: The MMAR's folder.
        plugins: The plugins in force.
        workspace: Where the copy that runs is kept.
        settings: The ``--set`` values.

    Raises:
        MmarError: The MMAR cannot be read, or has findings of severity error.
        TrustError: The kit does not hold, a rule refuses the MMAR here, or too few sites
            may run it.
    """
    kit = open_kit(kit_folder, Role.SERVER)
    admission, rules = admitted(mmar, plugins, kit, workspace, settings=settings)
    _say_what_is_idle(rules.policy)
    spec = admission.validation.spec_for(ANY_CLIENT)
    if spec is None or spec.server is None:
        msg = f"{mmar} cannot be read as an MMAR with a server"
        raise MmarUnreadableError(msg)
    server = _within(spec.server, kit)
    decisions = decide_for_sites(admission, rules.authorization)
    trust = ServerTrust(kit, decisions, rules.policy.allowed_path_prefixes)
    try:
        _require_sites(trust, server.min_num_clients)
    except NotAuthorizedError as error:
        record_sites(workspace, kit, admission, decisions, reason=error.reason)
        raise
    record_sites(workspace, kit, admission, decisions)
    return replace(spec, server=server), trust


def _say_what_is_idle(policy: SitePolicy) -> None:
    """Say which rules of the server's own policy have nothing to act on: it trains nothing."""
    for key, given in (
        ("mandatory_filters", any(policy.mandatory_filters.values())),
        ("trainer", bool(policy.trainer)),
    ):
        if given:
            place = policy.place(key)
            where = f"{place.file}:{place.line}" if place else "site_policy.json"
            say(f"{where}: {key} does nothing at a server; sites have their own", err=True)


def _within(server: ServerSpec, kit: StartupKit) -> ServerSpec:
    """Return the MMAR's server within what the project provisioned: no fewer, no more clients."""
    provisioned = kit.config["servers"][0]
    least = max(server.min_num_clients, provisioned.get("min_num_clients", 0))
    most = min(server.max_num_clients, provisioned.get("max_num_clients", server.max_num_clients))
    for name, mmar, kits in (
        ("min_num_clients", server.min_num_clients, least),
        ("max_num_clients", server.max_num_clients, most),
    ):
        if mmar != kits:
            say(f"{name} is {kits}: the kit's, not the MMAR's {mmar}", err=True)
    if least > most:
        msg = f"the kit allows at most {most} clients, and at least {least} are needed"
        raise NotAuthorizedError(msg, reason="TOO_FEW_SITES")
    return replace(server, min_num_clients=least, max_num_clients=most)


def _require_sites(trust: ServerTrust, min_num_clients: int) -> None:
    """Say which sites may not run the MMAR; refuse if the others are too few."""
    for site, decision in trust.decisions.items():
        if not decision.accepted:
            say(f"{site} will not take part: {decision.refusals[0].message}", err=True)
    admitted_sites = trust.admitted_sites
    if len(admitted_sites) < min_num_clients:
        msg = (
            f"{len(admitted_sites)} of {len(trust.decisions)} sites may run this MMAR, "
            f"and min_num_clients is {min_num_clients}"
        )
        hint = "`mmar-runner policy explain MMAR --kit KIT --site SITE` names the rules"
        if len(admitted_sites) == len(trust.decisions):  # no rule is in the way
            hint = "ask for fewer (min_num_clients), or have further sites provisioned"
        raise NotAuthorizedError(msg, hint=hint, reason="TOO_FEW_SITES")
