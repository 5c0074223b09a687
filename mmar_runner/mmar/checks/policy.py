# SPDX-License-Identifier: Apache-2.0
"""What a site's policy refuses of an MMAR, as findings.

The rules are those by which a site decides before anything runs; here they only become
findings. What the project's authorization says depends on users, and is not asked here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mmar_runner.documents.words import did_you_mean
from mmar_runner.mmar.checks.site_filters import filter_faults
from mmar_runner.security.policy.own_filters import FILTERS
from mmar_runner.security.policy.site_rules import site_steps

if TYPE_CHECKING:
    from mmar_runner.interfaces.catalog import ComponentCatalog
    from mmar_runner.mmar.checks.case import Look
    from mmar_runner.security.decision import Step
    from mmar_runner.security.policy.mmar_facts import MmarFacts
    from mmar_runner.security.policy.site_policy import SitePolicy

#: The code of a refusal, by its reason.
_CODES: Final = {
    "COMPONENT_NOT_ALLOWED": "MMAR701",
    "BYOC_NOT_ALLOWED": "MMAR702",
    "DIGEST_NOT_ACCEPTED": "MMAR703",
    "DATALIST_NOT_ALLOWED": "MMAR705",
    "PATH_ARGUMENT": "MMAR706",
    "DIGEST_BLOCKED": "MMAR707",
    "COMPONENT_NOT_FOUND": "MMAR704",
    "COMPONENT_ARGUMENTS": "MMAR708",
    "EXPRESSIONS_NOT_ALLOWED": "MMAR709",
    "PLUGIN_CONFLICT": "MMAR518",
}
#: Errors that say of a class path already that it leads nowhere.
_NOWHERE: Final = frozenset({"MMAR502", "MMAR503", "MMAR508", "MMAR509"})


def check_policy(
    look: Look, policy: SitePolicy, facts: MmarFacts, catalog: ComponentCatalog
) -> None:
    """Say everything that a policy refuses.

    Args:
        look: The MMAR, and where findings go.
        policy: The site's policy.
        facts: What the MMAR is.
        catalog: What is installed, for the site's own filters.
    """
    said = {(f.file, f.pointer) for code in _NOWHERE for f in look.findings.with_code(code)}
    for step in site_steps(facts, policy, filter_faults(policy, catalog, look.side)):
        place = step.subject
        if not step.accepted and (place is None or (place.file, place.pointer) not in said):
            _report(look, step)
    _weights(look, policy)


def _report(look: Look, step: Step) -> None:
    place, code = step.subject, _CODES[step.reason]
    if step.rule == FILTERS:  # nothing in the MMAR is wrong
        look.findings.add(code, f"{step.policy}: {step.message}", hint=step.hint)
        return
    if place is None or code == "MMAR705":  # the list itself is a finding of its own
        look.findings.add(code, step.message, hint=step.hint)
        return
    position = (place.line, place.column)
    look.findings.add(
        code,
        step.message,
        file=place.file,
        position=position,
        pointer=place.pointer,
        hint=step.hint,
    )


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
