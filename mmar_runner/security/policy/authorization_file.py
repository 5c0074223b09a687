# SPDX-License-Identifier: Apache-2.0
"""``authorization.json``: organisations, roles, groups, rights, rules, users and sites.

The form is Clara's. Rights and rules are defined by the program; the file may define them
anew, key by key. A name that is defined nowhere is a fault, with its place.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Literal

from mmar_runner.documents.words import did_you_mean
from mmar_runner.security.policy.document import (
    AUTHORIZATION_KEYS,
    SITE_KEYS,
    PolicyDocument,
    PolicyFault,
    read_policy_document,
    refuse_faults,
    refuse_other,
    schema_faults,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from mmar_runner.documents.json_source import JsonPath

_IS_SITE_POLICY: Final = "is a site's own policy; the project's authorization.json is needed"
_PROJECTS: Final = "Every kit of the project has it, as authorization.json."
_HINT: Final = "`mmar-runner schema authorization` prints what it may hold."


@dataclass(frozen=True, slots=True)
class Definition:
    """What a right or a rule is.

    Attributes:
        default: Its value where no group says anything.
        own_org: It holds only where the user's organisation is the site's.
        kind: ``bool``, or ``int`` (a number above 0 says yes).
    """

    default: bool | int
    own_org: bool = False
    kind: Literal["bool", "int"] = "bool"


#: The rights that there are.
RIGHTS: Final[Mapping[str, Definition]] = {
    "upload_mmar": Definition(default=True),
    "deploy_self": Definition(default=False, own_org=True),
    "deploy_all": Definition(default=False),
    "train_self": Definition(default=False, own_org=True),
    "train_all": Definition(default=False),
    "view_self": Definition(default=True, own_org=True),
    "view_all": Definition(default=False),
    "operate_self": Definition(default=False, own_org=True),
    "operate_all": Definition(default=False),
}
#: The rules that there are.
RULES: Final[Mapping[str, Definition]] = {
    "allow_byoc": Definition(default=False),
    "allow_custom_datalist": Definition(default=True),
}


@dataclass(frozen=True, slots=True)
class Group:
    """What a group says.

    Attributes:
        rules: Values by rule.
        role_rights: Values by role and right.
    """

    rules: Mapping[str, bool | int] = field(default_factory=dict)
    role_rights: Mapping[str, Mapping[str, bool | int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class User:
    """A user: the organisation and the roles."""

    org: str
    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Authorization:
    """Who may do what where; every name in it is defined.

    Attributes:
        groups: Groups by name.
        orgs: Names of the groups of every organisation.
        users: Users by e-mail address.
        sites: The organisation of every site; ``server`` is the server.
        rights: Definitions by right.
        rules: Definitions by rule.
        document: The file, for places; None if it was not read from one.
    """

    groups: Mapping[str, Group]
    orgs: Mapping[str, tuple[str, ...]]
    users: Mapping[str, User]
    sites: Mapping[str, str]
    rights: Mapping[str, Definition] = field(default_factory=lambda: dict(RIGHTS))
    rules: Mapping[str, Definition] = field(default_factory=lambda: dict(RULES))
    document: PolicyDocument | None = field(default=None, compare=False, repr=False)

    def groups_at(self, site: str) -> tuple[str, ...]:
        """Return the names of the groups that hold at a known site."""
        return self.orgs[self.sites[site]]


def load_authorization(path: Path) -> Authorization:
    """Read an authorization file; it is refused as a whole if anything in it is wrong.

    Raises:
        UsageError: POLICY_INVALID; every fault is named, with line and column.
    """
    return checked_authorization(read_policy_document(path))


def checked_authorization(document: PolicyDocument) -> Authorization:
    """Return the authorization that a file holds; see `load_authorization`.

    Raises:
        UsageError: As there.
    """
    refuse_other(document, AUTHORIZATION_KEYS, SITE_KEYS, _IS_SITE_POLICY, _PROJECTS)
    found = schema_faults(document, "authorization")
    found += _Names(document).faults()
    refuse_faults(document.file, found, _HINT)
    return _authorization(document)


def _authorization(document: PolicyDocument) -> Authorization:
    value = document.value
    return Authorization(
        groups={
            name: Group(group.get("rules", {}), group.get("role_rights", {}))
            for name, group in value["groups"].items()
        },
        orgs={name: tuple(groups) for name, groups in value["orgs"].items()},
        users={
            name: User(user["org"], tuple(user["roles"])) for name, user in value["users"].items()
        },
        sites=dict(value["sites"]),
        rights=_defined(RIGHTS, value.get("rights", {})),
        rules=_defined(RULES, value.get("rules", {})),
        document=document,
    )


def _defined(
    known: Mapping[str, Definition], said: Mapping[str, Mapping[str, Any]]
) -> dict[str, Definition]:
    """Return the program's definitions, with what a file says of them instead."""
    return {name: _redefined(known[name], said.get(name, {})) for name in known}


def _redefined(known: Definition, said: Mapping[str, Any]) -> Definition:
    kind = said.get("type", known.kind)
    default = said.get("default", int(known.default) if kind == "int" else known.default)
    return replace(known, kind=kind, default=default, own_org=known.own_org or "precond" in said)


class _Names:
    """Finds the names that are defined nowhere, and values that are not of their kind.

    What does not even have the shape of a policy is passed over: the schema speaks of it.
    """

    def __init__(self, document: PolicyDocument) -> None:
        self._document = document
        self._root = _members(document.value)

    def faults(self) -> list[PolicyFault]:
        """Return every fault."""
        return [
            *self._definitions("rights", RIGHTS),
            *self._definitions("rules", RULES),
            *self._groups(),
            *self._references(),
        ]

    def _definitions(self, part: str, known: Mapping[str, Definition]) -> Iterator[PolicyFault]:
        for name, definition in _members(self._root.get(part)).items():
            yield from self._unknown((part, name), name, part[:-1], known, key=True)
            said = _members(definition)
            kind = said.get("type", "bool")
            if "default" in said and kind in {"bool", "int"}:
                yield from self._of_kind((part, name, "default"), said["default"], kind)

    def _groups(self) -> Iterator[PolicyFault]:
        roles = _members(self._root.get("roles"))
        for name, group in _members(self._root.get("groups")).items():
            here = ("groups", name)
            yield from self._values((*here, "rules"), _members(group).get("rules"), "rule")
            rights = (*here, "role_rights")
            for role, given in _members(_members(group).get("role_rights")).items():
                yield from self._unknown((*rights, role), role, "role", roles, key=True)
                yield from self._values((*rights, role), given, "right")

    def _values(self, here: JsonPath, values: Any, what: str) -> Iterator[PolicyFault]:
        known = RIGHTS if what == "right" else RULES
        for name, value in _members(values).items():
            if name not in known:
                yield from self._unknown((*here, name), name, what, known, key=True)
                continue
            said = _members(_members(self._root.get(f"{what}s")).get(name))
            yield from self._of_kind((*here, name), value, said.get("type", "bool"))

    def _of_kind(self, here: JsonPath, value: Any, kind: Any) -> Iterator[PolicyFault]:
        if not isinstance(value, bool | int) or isinstance(value, bool) == (kind == "bool"):
            return
        wanted = "true or false" if kind == "bool" else "a whole number"
        yield self._document.fault(here, f"'{here[-1]}' must be {wanted}.")

    def _references(self) -> Iterator[PolicyFault]:
        roles, groups = (_members(self._root.get(part)) for part in ("roles", "groups"))
        orgs = _members(self._root.get("orgs"))
        for name, user in _members(self._root.get("users")).items():
            said = _members(user)
            yield from self._unknown(("users", name, "org"), said.get("org"), "org", orgs)
            for index, role in enumerate(_items(said.get("roles"))):
                yield from self._unknown(("users", name, "roles", index), role, "role", roles)
        for org, named in orgs.items():
            for index, group in enumerate(_items(named)):
                yield from self._unknown(("orgs", org, index), group, "group", groups)
        for site, org in _members(self._root.get("sites")).items():
            yield from self._unknown(("sites", site), org, "org", orgs)

    def _unknown(
        self, here: JsonPath, name: Any, what: str, known: Iterable[str], *, key: bool = False
    ) -> Iterator[PolicyFault]:
        known = list(known)
        if not isinstance(name, str) or name in known:
            return
        hint = did_you_mean(name, known) or f"Known: {', '.join(known) or 'none'}."
        yield self._document.fault(here, f"The {what} '{name}' is not defined.", hint, key=key)


def _members(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
