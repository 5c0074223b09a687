# SPDX-License-Identifier: Apache-2.0
"""For which sites a server runs an MMAR, and with how many clients."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mmar_runner.errors import MmarUnreadableError, NotAuthorizedError
from mmar_runner.mmar.sources.variables import ANY_CLIENT
from mmar_runner.security.policy.authorization import SERVER_SITE
from mmar_runner.security.policy.judgement import MmarRequest, Policies, judge
from mmar_runner.security.signatures.rules import audience

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mmar_runner.admission.admitting import Admission
    from mmar_runner.admission.audit_line import Writer
    from mmar_runner.mmar.spec import MmarSpec, ServerSpec
    from mmar_runner.security.decision import Decision, Step
    from mmar_runner.security.kits.kit import StartupKit
    from mmar_runner.security.policy.authorization_file import Authorization
    from mmar_runner.security.policy.mmar_facts import MmarFacts
    from mmar_runner.security.signatures.manifest import SignedManifest


@dataclass(frozen=True, slots=True)
class Deployment:
    """An MMAR as a server runs it for the sites of its project.

    Attributes:
        spec: The MMAR within what the project provisioned: no fewer, no more clients.
        decisions: What project and signers say of it at every client's site.
        changed: Bounds that are the kit's and not the MMAR's: name, the MMAR's, the kit's.
    """

    spec: MmarSpec
    decisions: Mapping[str, Decision]
    changed: tuple[tuple[str, int, int], ...]

    @property
    def refusals(self) -> dict[str, str]:
        """Why each site that will not take part will not, in the first refusal's words."""
        decided = self.decisions.items()
        return {site: one.refusals[0].message for site, one in decided if not one.accepted}


def deployed(admission: Admission, authorization: Authorization, kit: StartupKit) -> Deployment:
    """Return how an MMAR that may run at the server is deployed.

    Raises:
        MmarUnreadableError: It has no server.
        NotAuthorizedError: TOO_FEW_SITES, the kit's bounds exclude each other.
    """
    spec = admission.validation.spec_for(ANY_CLIENT)
    if spec is None or spec.server is None:
        msg = f"{admission.root} cannot be read as an MMAR with a server"
        raise MmarUnreadableError(msg)
    server, changed = _within(spec.server, kit)
    decisions = decide_for_sites(admission, authorization)
    return Deployment(replace(spec, server=server), decisions, changed)


def decide_for_sites(admission: Admission, authorization: Authorization) -> dict[str, Decision]:
    """Return what project and signers say of running an MMAR at every client's site.

    A site has the last word all the same: it judges by its own policy too.
    """
    sites = sorted(site for site in authorization.sites if site != SERVER_SITE)
    return {site: _deployed(admission, authorization, site) for site in sites}


def _deployed(admission: Admission, authorization: Authorization, site: str) -> Decision:
    facts = admission.validation.facts
    meant = () if admission.manifest is None else (audience(admission.manifest, site),)
    request = MmarRequest("run", admission.signers, site, "delivered", facts, meant)
    return judge(request, Policies(authorization, None))


def refused_ahead(
    facts: MmarFacts,
    signers: tuple[str, ...],
    manifest: SignedManifest,
    authorization: Authorization,
) -> dict[str, Step]:
    """Return why a project refuses what was just signed: the first refusal, by site.

    Args:
        facts: The MMAR.
        signers: Who has signed it.
        manifest: What they signed; sites that it is not meant for are not asked.
        authorization: The project's policy; what a site's own says is not known here.
    """
    found = {}
    for site in sorted(authorization.sites):
        action = "upload" if site == SERVER_SITE else "run"
        request = MmarRequest(action, signers, site, "delivered", facts)
        refusals = judge(request, Policies(authorization, None)).refusals
        if refusals and (site == SERVER_SITE or manifest.meant_for(site)):
            found[site] = refusals[0]
    return found


def require_sites(deployment: Deployment) -> None:
    """Refuse an MMAR that too few sites may run.

    Raises:
        NotAuthorizedError: TOO_FEW_SITES.
    """
    assert deployment.spec.server is not None  # noqa: S101 - `deployed` saw to it
    least = deployment.spec.server.min_num_clients
    known = len(deployment.decisions)
    willing = known - len(deployment.refusals)
    if willing >= least:
        return
    msg = f"{willing} of {known} sites may run this MMAR, and min_num_clients is {least}"
    hint = "`mmar-runner policy explain MMAR --kit KIT --site SITE` names the rules"
    if willing == known:  # no rule is in the way
        hint = "ask for fewer (min_num_clients), or have further sites provisioned"
    raise NotAuthorizedError(msg, hint=hint, reason="TOO_FEW_SITES")


def record_sites(
    log: Writer, admission: Admission, deployment: Deployment, *, reason: str = ""
) -> None:
    """Write one line of audit about the sites that an MMAR is deployed to.

    Args:
        log: The server's.
        admission: What was taken in.
        deployment: What is known of the sites.
        reason: Why it is deployed nowhere; empty if it is deployed.

    Raises:
        AuditError: It cannot be written.
    """
    sites: dict[str, list[str]] = {}
    for site, decision in deployment.decisions.items():
        first = next(iter(decision.refusals), None)
        sites.setdefault(first.reason if first else "accepted", []).append(site)
    log.record(
        "mmar.deploy",
        "refused" if reason else "accepted",
        reason,
        site=SERVER_SITE,
        digest=admission.decision.digest,
        signers=", ".join(admission.signers),
        message="Too few sites may run it." if reason else "",
        sites={outcome: ", ".join(names) for outcome, names in sites.items()},
    )


def _within(
    server: ServerSpec, kit: StartupKit
) -> tuple[ServerSpec, tuple[tuple[str, int, int], ...]]:
    provisioned = kit.config["servers"][0]
    least = max(server.min_num_clients, provisioned.get("min_num_clients", 0))
    most = min(server.max_num_clients, provisioned.get("max_num_clients", server.max_num_clients))
    if least > most:
        msg = f"the kit allows at most {most} clients, and at least {least} are needed"
        raise NotAuthorizedError(msg, reason="TOO_FEW_SITES")
    bounds = (
        ("min_num_clients", server.min_num_clients, least),
        ("max_num_clients", server.max_num_clients, most),
    )
    changed = tuple(bound for bound in bounds if bound[1] != bound[2])
    return replace(server, min_num_clients=least, max_num_clients=most), changed
