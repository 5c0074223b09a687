# SPDX-License-Identifier: Apache-2.0
"""What is found by looking at an MMAR where it lies: the decision without the deed.

A site asks this of itself before anything runs, and ``policy explain`` and
``verify-mmar`` ask the same for people. Nothing is copied, remembered or imported.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.mmar.checks.site_filters import filter_faults
from mmar_runner.mmar.manifest import read_signature
from mmar_runner.mmar.sources.variables import ANY_CLIENT
from mmar_runner.mmar.validation import validate
from mmar_runner.security.policy.authorization import SERVER_SITE
from mmar_runner.security.policy.judgement import MmarRequest, judge
from mmar_runner.security.signatures.check import SignatureReport, check_signatures
from mmar_runner.security.steps import accepts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from mmar_runner.interfaces.catalog import ComponentCatalog
    from mmar_runner.mmar.sources.configuration import Side
    from mmar_runner.mmar.validation import Validation
    from mmar_runner.security.decision import Decision
    from mmar_runner.security.listing import FileListing
    from mmar_runner.security.policy.judgement import Policies
    from mmar_runner.security.signatures.context import SignatureContext

#: What is said where nobody signed, and nobody had to yet.
_UNSIGNED: Final = accepts(
    "signature.present", "Nobody signed the MMAR yet; a site runs only what is signed."
)


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked about an MMAR.

    Attributes:
        action: A key of `authorization.ACTIONS`.
        site: Where: a client's name, or ``server``.
        policies: What is known of the policies in force there.
        context: What is known of signatures there.
        settings: The ``--set`` values.
        client_name: As which client it would run; None for the site's own name.
        users: For whom; None for the owners of the MMAR's signatures.
        asker: For whom if nobody signed it; None for nobody.
        must_be_signed: Whether a folder without signatures is refused, or judged as if
            it will be signed.
        serves: Whether the site is a combiner, which uses the MMAR's server part.
    """

    action: str
    site: str
    policies: Policies
    context: SignatureContext
    settings: Mapping[str, Any] = field(default_factory=dict)
    client_name: str | None = None
    users: tuple[str, ...] | None = None
    asker: str | None = None
    must_be_signed: bool = True
    serves: bool = False

    @property
    def side(self) -> Side:
        """Whose part of the MMAR is looked at."""
        return "server" if self.site == SERVER_SITE or self.serves else "client"

    @property
    def seen_by(self) -> str:
        """The client whose variables are put in."""
        return ANY_CLIENT if self.side == "server" else self.client_name or self.site

    def for_whom(self, signers: tuple[str, ...]) -> tuple[str, ...]:
        """Return the users whose rights count, given those whose signatures do."""
        if self.users is not None:
            return self.users
        if signers or self.asker is None:
            return signers
        return (self.asker,)


@dataclass(frozen=True, slots=True)
class Examination:
    """The answer.

    Attributes:
        validation: What the validator says of it.
        signatures: What the rules about its signatures say; nothing if it has none, and
            need not have any yet.
        decision: What all rules together say.
    """

    validation: Validation
    signatures: SignatureReport
    decision: Decision

    @property
    def accepted(self) -> bool:
        """True if no rule refuses it and the validator finds no error."""
        return self.decision.accepted and self.validation.report.valid


def examine(
    root: Path,
    catalog: ComponentCatalog,
    question: Question,
    listing: Callable[[], FileListing] | None = None,
) -> Examination:
    """Look at an MMAR and decide.

    Args:
        root: The MMAR's folder.
        catalog: What is installed.
        question: What is asked.
        listing: Gives the folder's listing, if it was hashed before.

    Raises:
        MmarUnreadableError: There is no MMAR.
        SignatureError: FORMAT, the signature file is too large.
    """
    found = validate(
        root,
        catalog,
        side=question.side,
        settings=question.settings,
        client_name=question.seen_by,
        listing=listing,
    )
    envelope = read_signature(found.folder)
    unsigned = envelope is None and not question.must_be_signed
    signatures = (
        SignatureReport(())
        if unsigned
        else check_signatures(
            found.listing, envelope, question.context, own_code=found.facts.runs_own_code
        )
    )
    request = MmarRequest(
        action=question.action,
        users=question.for_whom(signatures.owners),
        site=question.site,
        origin=question.context.origin,
        facts=found.facts,
        signature_steps=signatures.steps,
    )
    decision = judge(request, _as_installed(question, catalog))
    if unsigned:
        decision = replace(decision, steps=(_UNSIGNED, *decision.steps))
    return Examination(found, signatures, decision)


def _as_installed(question: Question, catalog: ComponentCatalog) -> Policies:
    """Return the policies with what is wrong here with the site's own filters."""
    policies = question.policies
    if policies.site_policy is None:
        return policies
    found = filter_faults(policies.site_policy, catalog, question.side)
    return replace(policies, filter_faults=found)
