# SPDX-License-Identifier: Apache-2.0
"""Who may do what where: the most generous rule of the groups that hold at a site.

Groups hold at a site by its organisation. Of what they say to a user's roles the most
generous counts; if none says anything, the definition's default. The role ``super`` has
every right, but a rule is the site's, and nobody's right overrides it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mmar_runner.documents.words import did_you_mean
from mmar_runner.security.steps import accepts, refuses

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mmar_runner.security.decision import Place, Step
    from mmar_runner.security.policy.authorization_file import Authorization, User

#: How the project's authorization calls the server's own site.
SERVER_SITE: Final = "server"
#: The role that has every right (of kind bool), and no rule.
SUPER: Final = "super"

#: The rights of every action: any one of a tuple is enough, every tuple is needed.
ACTIONS: Final[Mapping[str, tuple[tuple[str, ...], ...]]] = {
    "upload": (("upload_mmar",),),
    "deploy": (("deploy_all", "deploy_self"),),
    "train": (("train_all", "train_self"),),
    "view": (("view_all", "view_self"),),
    "operate": (("operate_all", "operate_self"),),
    "run": (("deploy_all", "deploy_self"), ("train_all", "train_self")),
}
#: What an MMAR brings along, with the rule and the reason of a refusal.
CONTENTS: Final[Mapping[str, tuple[str, str, str]]] = {
    "byoc": ("allow_byoc", "BYOC_NOT_ALLOWED", "custom code"),
    "custom_datalist": ("allow_custom_datalist", "DATALIST_NOT_ALLOWED", "a custom data list"),
}
#: How what a project says is changed; a site cannot.
_GIVEN_BY: Final = (
    "Whoever provisions the project gives that file: "
    "`mmar-runner provision PROJECT.yml --out DIR --authorization FILE`."
)
#: The reason of a refusal because of somebody, or something, that the project does not know.
REASON_OF_UNKNOWN: Final = {"user": "USER_UNKNOWN", "site": "SITE_UNKNOWN"}


@dataclass(frozen=True, slots=True)
class _Answer:
    """What the groups say of one right or rule: the value, where, and in words why."""

    value: bool | int
    why: str
    place: Place | None


def authorize(
    authorization: Authorization,
    user: str,
    action: str,
    site: str,
) -> tuple[Step, ...]:
    """Return what the project's authorization says of one action at one site.

    Args:
        authorization: The project's file.
        user: An e-mail address.
        action: A key of `ACTIONS`, or of `CONTENTS` for the site's rule alone.
        site: A client's name, or ``server``.

    Raises:
        ValueError: There is no such action.
    """
    if action not in ACTIONS and action not in CONTENTS:
        msg = f"there is no action {action!r}"
        raise ValueError(msg)
    unknown = [*_unknown(authorization, user, "user"), *_unknown(authorization, site, "site")]
    if unknown:
        return tuple(unknown)
    if action in CONTENTS:
        return (site_rule(authorization, action, site),)
    question = _Question(authorization, user, site)
    return tuple(question.right(rights) for rights in ACTIONS[action])


def site_rule(authorization: Authorization, content: str, site: str) -> Step:
    """Return whether a site's rule lets in what an MMAR brings; no user's right matters.

    Args:
        authorization: The project's file.
        content: A key of `CONTENTS`.
        site: A client's name, or ``server``.
    """
    for step in _unknown(authorization, site, "site"):
        return step
    name, reason, what = CONTENTS[content]
    answer = _of_rule(authorization, name, site)
    org, rule = authorization.sites[site], f"authorization.{content}"
    where = f'"{site}" ({org}): {answer.why}.'
    if answer.value > 0:
        message = f"The MMAR contains {what}, which is allowed on {where}"
        return accepts(rule, message, policy=answer.place)
    message = f"The MMAR contains {what}, which is not allowed on {where}"
    hint = (
        f"A group of {org} ({', '.join(authorization.groups_at(site))}) would have to say "
        f'"{name}": true; no right of a user replaces it. {_GIVEN_BY}'
    )
    return refuses(rule, reason, message, policy=answer.place, hint=hint)


def _unknown(authorization: Authorization, name: str, what: str) -> list[Step]:
    known = authorization.users if what == "user" else authorization.sites
    if name in known:
        return []
    # Who has a name much like another's (site-3, site-4) may be new all the same.
    near = did_you_mean(name, known)
    hint = f"If it is new, '{what}s' of authorization.json would have to name it. {_GIVEN_BY}"
    hint = f"{hint} {near}" if near else hint
    message = f"{name!r} is not a {what} of this project."
    place = _place(authorization, f"{what}s")
    reason = REASON_OF_UNKNOWN[what]
    return [refuses(f"authorization.{what}", reason, message, policy=place, hint=hint)]


class _Question:
    """What one user may do at one site, both of them known."""

    def __init__(self, authorization: Authorization, user: str, site: str) -> None:
        self._authorization = authorization
        self._name = user
        self._user: User = authorization.users[user]
        self._site = site
        self._org = authorization.sites[site]
        self._groups = authorization.groups_at(site)

    def right(self, rights: tuple[str, ...]) -> Step:
        """Return whether the user has one of the rights; the first that holds decides."""
        rule = f"authorization.{rights[0].partition('_')[0]}"
        answers = [self._of_right(right) for right in rights]
        for answer in answers:
            if answer.value > 0:
                message = f"{self._who()} may {self._verb(rights)}: {answer.why}."
                return accepts(rule, message, policy=answer.place)
        message = f"{self._who()} is not authorized to {self._verb(rights)}: "
        message += "; ".join(answer.why for answer in answers) + "."
        hint = (
            f"A group of {self._org} ({', '.join(self._groups)}) would have to give "
            f"{self._roles()} the right {' or '.join(self._useful(rights))}. {_GIVEN_BY}"
        )
        return refuses(rule, "NOT_AUTHORIZED", message, policy=answers[0].place, hint=hint)

    def _of_right(self, right: str) -> _Answer:
        definition = self._authorization.rights[right]
        if SUPER in self._user.roles and definition.kind == "bool":
            place = _place(self._authorization, "users", self._name, "roles")
            return _Answer(1, f"the role '{SUPER}' has every right", place)
        if definition.own_org and self._user.org != self._org:
            # Never the first of the rights that are asked for, whose place is shown.
            return _Answer(0, f"{right} holds only at sites of {self._user.org}", None)
        said = [
            (given[right], group, role, ("groups", group, "role_rights", role, right))
            for group in self._groups
            for role in self._user.roles
            if right in (given := self._rights_of(group, role))
        ]
        if not said:
            return _default(self._authorization, "rights", right, self._org)
        value, group, role, path = max(said, key=lambda item: item[0])
        word = "gives" if value > 0 else "denies"
        why = f"the group '{group}' {word} the role '{role}' {right}"
        return _Answer(value, why, _place(self._authorization, *path))

    def _useful(self, rights: tuple[str, ...]) -> list[str]:
        """Return the rights that would be enough if a group gave them."""
        known, home = self._authorization.rights, self._user.org == self._org
        return [right for right in rights if home or not known[right].own_org]

    def _rights_of(self, group: str, role: str) -> Mapping[str, bool | int]:
        return self._authorization.groups[group].role_rights.get(role, {})

    def _verb(self, rights: tuple[str, ...]) -> str:
        verb = rights[0].partition("_")[0]
        preposition = "to" if verb == "upload" else "on"
        return f"{verb} {preposition} {self._where()}"

    def _where(self) -> str:
        return f'"{self._site}" ({self._org})'

    def _who(self) -> str:
        return f"{self._name} ({self._user.org}: {', '.join(self._user.roles) or 'no role'})"

    def _roles(self) -> str:
        roles = self._user.roles
        return f"the role {' or '.join(roles)}" if roles else "a role of the user's"


def _of_rule(authorization: Authorization, rule: str, site: str) -> _Answer:
    groups = authorization.groups
    here = [name for name in authorization.groups_at(site) if rule in groups[name].rules]
    if not here:
        return _default(authorization, "rules", rule, authorization.sites[site])
    group = max(here, key=lambda name: groups[name].rules[rule])
    value = groups[group].rules[rule]
    why = f"the group '{group}' says \"{rule}\": {str(value).lower()}"
    return _Answer(value, why, _place(authorization, "groups", group, "rules", rule))


def _default(authorization: Authorization, part: str, name: str, org: str) -> _Answer:
    definitions = authorization.rights if part == "rights" else authorization.rules
    default, document = definitions[name].default, authorization.document
    path: tuple[str, ...] = ("orgs", org)
    if document is not None and (part, name, "default") in document.source.values:
        path = (part, name, "default")
    why = f"no group says anything of {name}, whose default is {str(default).lower()}"
    return _Answer(default, why, _place(authorization, *path))


def _place(authorization: Authorization, *path: str) -> Place | None:
    document = authorization.document
    return None if document is None else document.place(*path)
