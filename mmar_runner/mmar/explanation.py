# SPDX-License-Identifier: Apache-2.0
"""Why an MMAR may, or may not, be brought to a site: the decision without the deed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mmar_runner.mmar.checks_policy import missing_filters
from mmar_runner.mmar.codes import Severity
from mmar_runner.mmar.finding import Findings
from mmar_runner.mmar.folder import open_folder
from mmar_runner.mmar.manifest import read_signature
from mmar_runner.mmar.validation import validate
from mmar_runner.security.policy.judgement import MmarRequest, judge
from mmar_runner.security.signatures.check import check_signatures
from mmar_runner.security.steps import accepts

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Future
    from pathlib import Path

    from mmar_runner.interfaces.catalog import ComponentCatalog
    from mmar_runner.mmar.finding import Finding
    from mmar_runner.mmar.sources import Side
    from mmar_runner.mmar.validation import Validation
    from mmar_runner.security.decision import Decision
    from mmar_runner.security.listing import FileListing
    from mmar_runner.security.policy.judgement import Policies
    from mmar_runner.security.signatures.check import SignatureReport
    from mmar_runner.security.signatures.context import SignatureContext


@dataclass(frozen=True, slots=True)
class Question:
    """What somebody wants to know.

    Attributes:
        action: A key of `authorization.ACTIONS`.
        site: Where: a client's name, or ``server``.
        user: For whom; None for the owners of the MMAR's signatures.
        asker: For whom if nobody signed it; None for nobody.
        policies: What is known of the policies in force there.
        context: What is known of signatures there.
        side: Whose part of the MMAR is looked at.
        settings: The ``--set`` values.
    """

    action: str
    site: str
    user: str | None
    asker: str | None
    policies: Policies
    context: SignatureContext
    side: Side
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Explanation:
    """What would be said of an MMAR.

    Attributes:
        decision: Every rule's answer.
        errors: What the validator found wrong; it refuses such an MMAR whatever the rules say.
    """

    decision: Decision
    errors: tuple[Finding, ...]


def explain(
    root: Path,
    catalog: ComponentCatalog,
    question: Question,
    ahead: Future[FileListing] | None = None,
) -> Explanation:
    """Return the decision about an MMAR where it lies; nothing is copied or imported.

    A folder that nobody signed is judged as if it will be: only ``run`` needs the
    signatures at once.

    Args:
        root: The MMAR's folder.
        catalog: What is installed.
        question: What is asked.
        ahead: The folder's listing, if it was begun before (`manifest.listed_ahead`).

    Raises:
        MmarUnreadableError: There is no MMAR.
        SignatureError: FORMAT, the signature file is too large.
    """
    found = validate(root, catalog, side=question.side, settings=question.settings, ahead=ahead)
    report = _signatures(root, found, question)
    steps = () if report is None else report.steps
    signers = () if report is None else report.owners
    origin = question.context.origin
    users = _users(question, signers)
    request = MmarRequest(question.action, users, question.site, origin, found.facts, steps)
    decision = judge(request, _with_missing_filters(question, catalog))
    if report is None:
        message = "Nobody signed the MMAR yet; a site runs only what is signed."
        note = accepts("signature.present", message)
        decision = replace(decision, steps=(note, *decision.steps))
    errors = tuple(f for f in found.report.findings if f.severity is Severity.ERROR)
    return Explanation(decision, errors)


def _with_missing_filters(question: Question, catalog: ComponentCatalog) -> Policies:
    policies = question.policies
    if question.side == "server" or policies.site_policy is None:
        return policies
    return replace(policies, missing_filters=missing_filters(policies.site_policy, catalog))


def _signatures(root: Path, found: Validation, question: Question) -> SignatureReport | None:
    envelope = read_signature(open_folder(root, Findings()))
    if envelope is None and question.action != "run":
        return None
    return check_signatures(found.listing, envelope, question.context)


def _users(question: Question, signers: tuple[str, ...]) -> tuple[str, ...]:
    if question.user is not None:
        return (question.user,)
    if signers or question.asker is None:
        return signers
    return (question.asker,)
