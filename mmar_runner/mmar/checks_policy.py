# SPDX-License-Identifier: Apache-2.0
"""What a site's policy refuses of an MMAR, as findings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmar_runner.documents.words import did_you_mean

if TYPE_CHECKING:
    from mmar_runner.mmar.look import Look
    from mmar_runner.security.site_policy import SitePolicy


def check_policy(look: Look, policy: SitePolicy, *, digest: str, custom_datalist: bool) -> None:
    """Say everything that a policy refuses."""
    _paths(look, policy)
    _code(look, policy, digest)
    _filters(look, policy)
    _weights(look, policy)
    if custom_datalist and not policy.allow_custom_datalist:
        message = "The policy allows no data list in an MMAR."
        look.findings.add("MMAR705", message, hint="Refer to the site's own list by a variable.")


def _paths(look: Look, policy: SitePolicy) -> None:
    for document, path, dotted in look.resolver.paths:
        if not policy.allows_path(dotted):
            message = f"The policy does not allow the class path '{dotted}'."
            hint = "A site adds it to allowed_path_prefixes; or use a registered name."
            look.findings.at(document, path, "MMAR701", message, hint=hint)


def _code(look: Look, policy: SitePolicy, digest: str) -> None:
    if not look.byoc.present or policy.byoc == "allow":
        return
    first = look.byoc.code_files[0]
    if policy.byoc == "refuse":
        message, hint = "The policy allows no code in an MMAR.", "Have it installed as a plugin."
        look.findings.add("MMAR702", message, file=first, hint=hint)
    elif digest not in policy.accepted_digests:
        message = f"The policy does not accept the digest {digest}."
        hint = "A site that has reviewed the code adds it to accepted_digests."
        look.findings.add("MMAR703", message, file=first, hint=hint)


def _filters(look: Look, policy: SitePolicy) -> None:
    if look.client is None:
        return
    for direction, names in policy.mandatory_filters.items():
        slot = f"{direction}_filters"
        declared = {part.name for part in look.client_parts.many(slot)}
        for name in names:
            if name not in declared:
                message = f"The policy demands the filter '{name}' in {slot}."
                path = (slot,) if slot in look.client.value else ()
                look.findings.at(look.client, path, "MMAR704", message, hint=f"Add '{name}'.")


def _weights(look: Look, policy: SitePolicy) -> None:
    if policy.clients is None or look.server is None:
        return
    path = ("aggregator", "args", "aggregation_weights")
    weights = look.server.get(path)
    for name in weights if isinstance(weights, dict) else ():
        if name not in policy.clients:
            message = f"A weight is given to '{name}', which is not a client."
            hint = did_you_mean(name, policy.clients)
            look.findings.at(look.server, (*path, name), "MMAR606", message, hint=hint, key=True)
