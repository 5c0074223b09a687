# SPDX-License-Identifier: Apache-2.0
"""What a site allows: its own file, which nobody else writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from mmar_runner.security.policy.class_paths import spelling_allowed
from mmar_runner.security.policy.document import (
    AUTHORIZATION_KEYS,
    SITE_KEYS,
    PolicyDocument,
    read_policy_document,
    refuse_faults,
    refuse_other,
    schema_faults,
)
from mmar_runner.security.redaction import Redaction

if TYPE_CHECKING:
    from pathlib import Path

    from mmar_runner.security.decision import Place

_IS_AUTHORIZATION: Final = "is the project's authorization.json; a site's own policy is needed"
_OWN: Final = "The site's own policy is the file site_policy.json in its kit."
_HINT: Final = "`mmar-runner schema site_policy` prints what it may hold."


@dataclass(frozen=True, slots=True)
class SitePolicy:
    """A site's policy, as it stands in ``site_policy.json``; without one, the defaults.

    Attributes:
        allowed_path_prefixes: Class paths that may be named by ``path``; one that ends
            with a dot allows everything below it.
        byoc: Whether an MMAR may bring code: never, always, or by accepted digest.
        accepted_digests: Digests of MMARs whose code was reviewed.
        blocked_digests: Digests of MMARs that never run here.
        expressions: Whether the trainer may evaluate expressions that an MMAR holds: never,
            always, or by accepted digest.
        signatures: How many administrators must have signed, by ``mmar`` (without code)
            and ``byoc`` (with code).
        data_folders: Absolute folders that arguments of components may name.
        mandatory_filters: The site's own filters by direction, as declarations
            ``{"name", "args"}``; they run after an MMAR's.
        allow_custom_datalist: Whether an MMAR may bring its own data list.
        clients: Names of the federation's clients; None if they are not known.
        trainer: Limits of the trainer's process.
        redaction: What the site hides of a task that failed, before the server is told.
        admin: What administrators may ask: ``accepted_names``, ``refused_commands``,
            ``allowed_shell_cmds``, ``modules``; a key that is missing accepts everybody,
            refuses no command, allows no look into folders, and offers every installed
            command module.
        document: The file, for places; None if there is none.
    """

    allowed_path_prefixes: tuple[str, ...] = ()
    byoc: Literal["refuse", "allow", "digest"] = "refuse"
    accepted_digests: tuple[str, ...] = ()
    blocked_digests: tuple[str, ...] = ()
    expressions: Literal["refuse", "allow", "digest"] = "refuse"
    signatures: Mapping[str, int] = field(default_factory=lambda: dict(SIGNATURES))
    data_folders: tuple[str, ...] = ()
    mandatory_filters: Mapping[str, tuple[Mapping[str, Any], ...]] = field(default_factory=dict)
    allow_custom_datalist: bool = False
    clients: tuple[str, ...] | None = None
    trainer: Mapping[str, float] = field(default_factory=dict)
    redaction: Redaction = Redaction.EVERYTHING
    admin: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    document: PolicyDocument | None = field(default=None, compare=False, repr=False)

    def allows_path(self, dotted: str) -> bool:
        """Return True if a class path may be named."""
        return spelling_allowed(dotted, self.allowed_path_prefixes)

    def allows_expressions(self, digest: str) -> bool:
        """Return True if expressions of the MMAR with a digest may be evaluated."""
        reviewed = self.expressions == "digest" and digest in self.accepted_digests
        return reviewed or self.expressions == "allow"

    def place(self, *path: str | int, key: bool = False) -> Place | None:
        """Return where something stands in the file (or its key), or the nearest around it."""
        return None if self.document is None else self.document.place(*path, key=key)


#: How many signatures are enough where the policy says nothing.
SIGNATURES: Final[Mapping[str, int]] = {"mmar": 1, "byoc": 1}


def load_policy(path: Path) -> SitePolicy:
    """Read a site's policy; it is refused as a whole if anything in it is wrong.

    Raises:
        UsageError: POLICY_INVALID: it cannot be read, is not JSON, has a key twice, or
            does not fit its schema; every fault is named, with line and column.
    """
    document = read_policy_document(path)
    refuse_other(document, SITE_KEYS, AUTHORIZATION_KEYS, _IS_AUTHORIZATION, _OWN)
    refuse_faults(document.file, schema_faults(document, "site_policy"), _HINT)
    return _policy(document)


def _policy(document: PolicyDocument) -> SitePolicy:
    value: dict[str, Any] = document.value
    filters = value.get("mandatory_filters", {})
    clients = value.get("clients")
    return SitePolicy(
        allowed_path_prefixes=tuple(value.get("allowed_path_prefixes", ())),
        byoc=value.get("byoc", "refuse"),
        accepted_digests=tuple(value.get("accepted_digests", ())),
        blocked_digests=tuple(value.get("blocked_digests", ())),
        expressions=value.get("expressions", "refuse"),
        signatures={**SIGNATURES, **value.get("signatures", {})},
        data_folders=tuple(value.get("data_folders", ())),
        mandatory_filters={way: tuple(map(_filter, named)) for way, named in filters.items()},
        allow_custom_datalist=value.get("allow_custom_datalist", False),
        clients=None if clients is None else tuple(clients),
        trainer=value.get("trainer", {}),
        redaction=Redaction(value.get("redaction", Redaction.EVERYTHING)),
        admin={key: tuple(said) for key, said in value.get("admin", {}).items()},
        document=document,
    )


def _filter(said: str | dict[str, Any]) -> Mapping[str, Any]:
    """Return a filter as a declaration, however it was written."""
    if isinstance(said, str):
        return {"name": said, "args": {}}
    return {"name": said["name"], "args": said.get("args", {})}
