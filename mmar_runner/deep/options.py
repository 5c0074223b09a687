# SPDX-License-Identifier: Apache-2.0
"""How a deep check is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pathlib import Path

#: How long a child may take to build and describe a network, in seconds: importing a framework
#: on a machine that does other things is most of it.
DESCRIBE_SECONDS: Final = 180.0
#: How long a dry run may take, in seconds.
DRY_RUN_SECONDS: Final = 600.0
#: Clients of a dry run, unless the aggregator needs more.
CLIENTS: Final = 2


@dataclass(frozen=True, slots=True)
class DeepOptions:
    """How a deep check is made.

    Attributes:
        own_code: Whether code that the MMAR brings may run, in children.
        plugins_dir: A folder of one-file plugins for the children, or None.
        allowed_path_prefixes: Class paths that a given policy allows; None without one.
        variables: The ``--set`` values.
        dry_run: Whether a round is tried.
        describe_seconds: How long a child may take to describe a network.
        dry_run_seconds: How long the round may take.
    """

    own_code: bool = False
    plugins_dir: Path | None = None
    allowed_path_prefixes: tuple[str, ...] | None = None
    variables: Mapping[str, Any] = field(default_factory=dict)
    dry_run: bool = False
    describe_seconds: float = DESCRIBE_SECONDS
    dry_run_seconds: float = DRY_RUN_SECONDS
