# SPDX-License-Identifier: Apache-2.0
"""What a site allows: its own file, which nobody else writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mmar_runner.documents.json_reader import read_json
from mmar_runner.documents.limits import DEFAULT_LIMITS
from mmar_runner.documents.schema_check import faults
from mmar_runner.documents.schema_store import load_schema
from mmar_runner.documents.words import pointer_text
from mmar_runner.errors import UsageError

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
