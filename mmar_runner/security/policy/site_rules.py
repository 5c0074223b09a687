# SPDX-License-Identifier: Apache-2.0
"""What a site's own policy says of an MMAR, rule by rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mmar_runner.documents.words import counted, did_you_mean
from mmar_runner.security.decision import Place
from mmar_runner.security.policy.own_filters import filter_steps
from mmar_runner.security.policy.path_arguments import allowed_argument
from mmar_runner.security.steps import accepts, refuses

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mmar_runner.security.decision import Step
    from mmar_runner.security.policy.mmar_facts import MmarFacts
    from mmar_runner.security.policy.own_filters import FilterFault
    from mmar_runner.security.policy.site_policy import SitePolicy

#: The rules, in the order in which they are asked.
BLOCKED: Final = "site_policy.blocked_digests"
BYOC: Final = "site_policy.byoc"
EXPRESSIONS: Final = "site_policy.expressions"
DATALIST: Final = "site_policy.allow_custom_datalist"
PATHS: Final = "site_policy.allowed_path_prefixes"
ARGUMENTS: Final = "site_policy.data_folders"

#: The command that takes an MMAR in; `mends.with_command` puts digest and kit in.
ACCEPT: Final = "`mmar-runner policy accept DIGEST --kit KIT`"
_REVIEW: Final = f"the site reviews the code: {ACCEPT}."

#: How much of an MMAR's text a sentence repeats.
_SHOWN: Final = 120


def site_steps(
    facts: MmarFacts, policy: SitePolicy, filter_faults: Iterable[FilterFault]
) -> list[Step]:
    """Return the answer of every rule of a site to what an MMAR is.

    Args:
        facts: The MMAR.
        policy: The site's rules.
        filter_faults: What is wrong with the site's own filters.
    """
    return [
        _blocked(facts, policy),
        _code(facts, policy),
        *_expressions(facts, policy),
        *_datalists(facts, policy),
        *_class_paths(facts, policy),
        *_arguments(facts, policy),
        *filter_steps(policy, filter_faults),
    ]


def _blocked(facts: MmarFacts, policy: SitePolicy) -> Step:
    place = policy.place("blocked_digests")
    if facts.digest not in policy.blocked_digests:
        return accepts(BLOCKED, "The site does not block the digest.", policy=place)
    place = policy.place("blocked_digests", policy.blocked_digests.index(facts.digest))
    message = f"The site blocks the digest {facts.digest}."
    hint = f"The site would have to take that back: {ACCEPT}."
    return refuses(BLOCKED, "DIGEST_BLOCKED", message, policy=place, hint=hint)


def _code(facts: MmarFacts, policy: SitePolicy) -> Step:
    place = policy.place("byoc")
    if not facts.byoc:
        return accepts(BYOC, "The MMAR brings no code.", policy=place)
    subject = Place(facts.code[0]) if facts.code else facts.commands[0][1]
    if policy.byoc == "allow":
        message = f"The site allows code in MMARs ({_code_words(facts)} here)."
        return accepts(BYOC, message, policy=place, subject=subject)
    if policy.byoc == "refuse":
        message = "The policy allows no code in an MMAR."
        if not facts.code:
            message += f" The command {shown(facts.commands[0][0])} is code."
        hint = f"Have it installed as a plugin; or {_REVIEW}"
        return refuses(BYOC, "BYOC_NOT_ALLOWED", message, policy=place, subject=subject, hint=hint)
    if facts.digest in policy.accepted_digests:
        place = policy.place("accepted_digests", policy.accepted_digests.index(facts.digest))
        message = "The site has reviewed this code and accepted its digest."
        return accepts(BYOC, message, policy=place, subject=subject)
    message = f"The policy does not accept the digest {facts.digest}."
    hint = f"{_REVIEW[0].upper()}{_REVIEW[1:]}"
    place = policy.place("accepted_digests")
    return refuses(BYOC, "DIGEST_NOT_ACCEPTED", message, policy=place, subject=subject, hint=hint)


def _code_words(facts: MmarFacts) -> str:
    files, commands = len(facts.code), len(facts.commands)
    found = [counted(files, "file")] if files else []
    found += [counted(commands, "command")] if commands else []
    return " and ".join(found)


def _expressions(facts: MmarFacts, policy: SitePolicy) -> list[Step]:
    place = policy.place("expressions")
    if not facts.expressions:
        return [accepts(EXPRESSIONS, "The MMAR holds no expressions.", policy=place)]
    if policy.allows_expressions(facts.digest):
        message = "The site lets the trainer evaluate the MMAR's expressions"
        count = f" ({counted(len(facts.expressions), 'place')})."
        subject = facts.expressions[0][1]
        return [accepts(EXPRESSIONS, message + count, policy=place, subject=subject)]
    hint = "Write it without; or the site says so by expressions in its policy."
    if policy.expressions == "digest":
        hint = f"{_REVIEW[0].upper()}{_REVIEW[1:]}"
    return [
        refuses(
            EXPRESSIONS,
            "EXPRESSIONS_NOT_ALLOWED",
            f"The policy allows no expressions in an MMAR: {shown(text)}.",
            policy=place,
            subject=where,
            hint=hint,
        )
        for text, where in facts.expressions
    ]


def _datalists(facts: MmarFacts, policy: SitePolicy) -> list[Step]:
    place = policy.place("allow_custom_datalist")
    if not facts.datalists:
        return [accepts(DATALIST, "The MMAR brings no data list.", policy=place)]
    if policy.allow_custom_datalist:
        message = "The site allows a data list in an MMAR."
        return [accepts(DATALIST, message, policy=place, subject=facts.datalists[0])]
    hint = "Refer to the site's own list by a variable."
    message = "The policy allows no data list in an MMAR."
    return [
        refuses(DATALIST, "DATALIST_NOT_ALLOWED", message, policy=place, subject=where, hint=hint)
        for where in facts.datalists
    ]


def _class_paths(facts: MmarFacts, policy: SitePolicy) -> list[Step]:
    place = policy.place("allowed_path_prefixes")
    refused = [
        refuses(
            PATHS,
            "COMPONENT_NOT_ALLOWED",
            f"The policy does not allow the class path {shown(dotted)}.",
            policy=place,
            subject=where,
            hint=_path_hint(dotted, policy),
        )
        for dotted, where in facts.class_paths
        if not policy.allows_path(dotted)
    ]
    count = len(facts.class_paths)
    message = f"Every class path is allowed ({count} named)." if count else "No class is named."
    return refused or [accepts(PATHS, message, policy=place)]


def _path_hint(dotted: str, policy: SitePolicy) -> str:
    near = did_you_mean(dotted, policy.allowed_path_prefixes)
    hint = "A site adds it to allowed_path_prefixes; or use a registered name."
    return f"{near} {hint}" if near else hint


def _arguments(facts: MmarFacts, policy: SitePolicy) -> list[Step]:
    place = policy.place("data_folders")
    refused = [
        refuses(
            ARGUMENTS,
            "PATH_ARGUMENT",
            f"The argument {shown(text)} leads out of the MMAR and the run folder.",
            policy=place,
            subject=where,
            hint="Name a file in the MMAR; or the site lists the folder in data_folders, or "
            "gives the path itself by --set.",
        )
        for text, where in facts.path_arguments
        if not allowed_argument(text, policy.data_folders)
    ]
    message = "Every argument stays inside the MMAR, the run folder and the site's data folders."
    return refused or [accepts(ARGUMENTS, message, policy=place)]


def shown(text: str) -> str:
    """Return a text of an MMAR as a sentence may repeat it: quoted, escaped, bounded."""
    short = text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
    return ascii(short) if not short.isprintable() else f"'{short}'"
