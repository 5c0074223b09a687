# SPDX-License-Identifier: Apache-2.0
"""What a client may report of what it measured, with an update or as a result. Pure."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

#: Metrics that are reported of one thing at once, and the length of a name, in letters.
MAX_METRICS: Final = 256
MAX_METRIC_NAME: Final = 128


def are_metric_names(names: Collection[str]) -> bool:
    """Return True if there are not too many, and each is short, printable and not empty."""
    return len(names) <= MAX_METRICS and all(map(_is_metric_name, names))


#: What `are_metric_names` asks for, for a sentence about names that it does not like.
METRICS_RULE: Final = (
    f"there are at most {MAX_METRICS} metrics, and a name has 1 to {MAX_METRIC_NAME} "
    "printable letters"
)


def _is_metric_name(name: str) -> bool:
    return 0 < len(name) <= MAX_METRIC_NAME and name.isprintable()
