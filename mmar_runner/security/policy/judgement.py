# SPDX-License-Identifier: Apache-2.0
"""The one decision about an MMAR: at upload, at deploy, at every site, and in words.

`judge` is pure: the same request and the same policies give the same decision, whoever
asks. So what ``policy explain`` says of a site is what that site will do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from mmar_runner.security.decision import Decision
from mmar_runner.security.policy.authorization import ACTIONS, authorize, site_rule
from mmar_runner.security.policy.site_rules import site_steps
from mmar_runner.security.steps import accepts, refuses

if TYPE_CHECKING:
    from mmar_runner.security.decision import Step
    from mmar_runner.security.policy.authorization_file import Authorization
    from mmar_runner.security.policy.mmar_facts import MmarFacts
    from mmar_runner.security.policy.own_filters import FilterFault
    from mmar_runner.security.policy.site_policy import SitePolicy

#: Actions that bring an MMAR's content to a place, where its rules hold.
_BRINGING: Final = frozenset({"upload", "deploy", "run"})
#: Whether the site itself put the folder there, or it came over the network.
Origin = Literal["local", "delivered"]


@dataclass(frozen=True, slots=True)
class MmarRequest:
    """What is to be done with an MMAR.

    Attributes:
        action: A key of `authorization.ACTIONS`.
        users: Who asks for it: the user who is connected, or the owners of the keys
            that signed it.
        site: Where: a client's name, or ``server``.
        origin: ``local`` if the site itself put the folder there, ``delivered`` if
            it came over the network.
        facts: What the MMAR is.
        signature_steps: What the check of its signatures said, if there was one.
    """

    action: str
    users: tuple[str, ...]
    site: str
    origin: Origin
    facts: MmarFacts
    signature_steps: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class Policies:
    """The policies that a request is judged by.

    Attributes:
        authorization: The project's; without one everything is refused.
        site_policy: The site's own; None where another party decides in advance and
            does not have it. A site without a file judges by ``SitePolicy()``.
        filter_faults: What is wrong with the site's own filters, as far as that is known
            here.
    """

    authorization: Authorization | None
    site_policy: SitePolicy | None
    filter_faults: tuple[FilterFault, ...] = ()


def judge(request: MmarRequest, policies: Policies) -> Decision:
    """Decide about a request.

    Raises:
        ValueError: There is no such action.
    """
    if request.action not in ACTIONS:
        msg = f"there is no action {request.action!r}"
        raise ValueError(msg)
    steps = [*request.signature_steps, *_authorized(request, policies)]
    if request.action in _BRINGING and policies.site_policy is not None:
        steps += site_steps(request.facts, policies.site_policy, policies.filter_faults)
    users = tuple(sorted(set(request.users)))
    return Decision(request.action, request.site, users, request.facts.digest, tuple(steps))


def _authorized(request: MmarRequest, policies: Policies) -> list[Step]:
    if policies.authorization is None:
        message = "There is no authorization of the project to judge by."
        hint = "A start-up kit holds authorization.json."
        return [refuses("authorization.file", "AUTHORIZATION_MISSING", message, hint=hint)]
    steps = _rights(request, policies.authorization, policies.site_policy)
    if request.action in _BRINGING:
        facts = request.facts
        brought = {"byoc": facts.runs_own_code, "custom_datalist": facts.custom_datalist}
        for content in (content for content, there in brought.items() if there):
            steps.append(site_rule(policies.authorization, content, request.site))
    return list(dict.fromkeys(steps))  # an unknown site is said once


def _rights(
    request: MmarRequest, authorization: Authorization, policy: SitePolicy | None
) -> list[Step]:
    """Return what those who ask, or have signed, may do."""
    if not request.users:
        return [_nobody(request, policy)]
    steps = {
        user: authorize(authorization, user, request.action, request.site)
        for user in sorted(set(request.users))
    }
    entitled = [user for user in steps if all(step.accepted for step in steps[user])]
    # Of signatures only so many are needed; of users who ask, all are asked for.
    needed = _threshold(request, policy) if request.signature_steps else len(steps)
    if len(entitled) < min(needed, len(steps)):
        return [step for user in steps for step in steps[user]]
    spare = [_spare(user, steps[user]) for user in steps if user not in entitled]
    return [step for user in entitled for step in steps[user]] + spare


def _threshold(request: MmarRequest, policy: SitePolicy | None) -> int:
    if policy is None:
        return 1
    return policy.signatures["byoc" if request.facts.runs_own_code else "mmar"]


def _spare(user: str, steps: tuple[Step, ...]) -> Step:
    """Return a word about a signature that counts for nothing and does no harm."""
    why = next(step.message for step in steps if not step.accepted)
    return accepts("authorization.user", f"The signature of {user} does not count: {why}")


def _nobody(request: MmarRequest, policy: SitePolicy | None) -> Step:
    """Return the answer where nobody asks: only a site may answer for its own folder."""
    digest, local = request.facts.digest, request.origin == "local"
    if local and policy is not None and digest in policy.accepted_digests:
        message = "The site accepted this digest, and put the folder there itself."
        place = policy.place("accepted_digests", policy.accepted_digests.index(digest))
        return accepts("authorization.user", message, policy=place)
    message = "Nobody who is known answers for this MMAR."
    hint = "An administrator signs it: `mmar-runner sign-mmar MMAR --kit KIT`."
    return refuses("authorization.user", "USER_MISSING", message, hint=hint)
