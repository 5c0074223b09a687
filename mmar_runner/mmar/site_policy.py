# SPDX-License-Identifier: Apache-2.0
"""What a site allows, and what of an MMAR it refuses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mmar_runner.errors import UsageError
from mmar_runner.mmar.finding import did_you_mean, pointer_text
from mmar_runner.mmar.json_reader import read_json
from mmar_runner.mmar.limits import DEFAULT_LIMITS
from mmar_runner.mmar.schema_check import faults
from mmar_runner.mmar.schema_store import load_schema

if TYPE_CHECKING:
    from mmar_runner.mmar.look import Look

_HINT = "`mmar-runner schema site_policy` prints what it may hold."


@dataclass(frozen=True, slots=True)
class SitePolicy:
    """A site's policy, as it stands in ``site_policy.json``.

    Attributes:
        allowed_path_prefixes: Class paths that may be named by ``path``; one that ends
            with a dot allows everything below it.
        byoc: Whether an MMAR may bring code: never, always, or by accepted digest.
        accepted_digests: Digests of MMARs whose code was reviewed.
        mandatory_filters: Names that the client file must declare, by direction.
        allow_custom_datalist: Whether an MMAR may bring its own data list.
        clients: Names of the federation's clients; None if they are not known.
        trainer: Limits of the trainer's process.
    """

    allowed_path_prefixes: tuple[str, ...] = ()
    byoc: Literal["refuse", "allow", "digest"] = "refuse"
    accepted_digests: tuple[str, ...] = ()
    mandatory_filters: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    allow_custom_datalist: bool = False
    clients: tuple[str, ...] | None = None
    trainer: Mapping[str, float] = field(default_factory=dict)

    def allows_path(self, dotted: str) -> bool:
        """Return True if a class path may be named."""
        return any(
            dotted.startswith(prefix) if prefix.endswith(".") else dotted == prefix
            for prefix in self.allowed_path_prefixes
        )


def load_policy(path: Path) -> SitePolicy:
    """Read a site's policy; it is refused as a whole if anything in it is wrong.

    Raises:
        UsageError: It cannot be read, is not JSON, has a key twice, or does not fit
            its schema.
    """
    try:
        text = path.read_bytes()[: DEFAULT_LIMITS.json_bytes].decode()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"The policy {path} cannot be read: {error}") from error
    source = read_json(text)
    for problem in source.problems:
        line, column = source.position(problem.offset)
        raise UsageError(f"{path}:{line}:{column}: {problem.message}", hint=problem.hint)
    for fault in faults(load_schema("site_policy"), source.value):
        line, column = source.locate(fault.path, key=fault.kind == "unknown")
        message = f"{path}:{line}:{column} {pointer_text(fault.path)} {fault.message}"
        raise UsageError(message, hint=fault.hint or _HINT)
    return _policy(source.value)


def _policy(value: dict[str, Any]) -> SitePolicy:
    filters = {k: tuple(v) for k, v in value.get("mandatory_filters", {}).items()}
    clients = value.get("clients")
    return SitePolicy(
        allowed_path_prefixes=tuple(value.get("allowed_path_prefixes", ())),
        byoc=value.get("byoc", "refuse"),
        accepted_digests=tuple(value.get("accepted_digests", ())),
        mandatory_filters=filters,
        allow_custom_datalist=value.get("allow_custom_datalist", False),
        clients=None if clients is None else tuple(clients),
        trainer=value.get("trainer", {}),
    )


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
