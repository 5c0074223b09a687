# SPDX-License-Identifier: Apache-2.0
"""What a child that hosts filters is asked, as plain values: see `filter_role`."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmar_runner.interfaces.filter import FilterContext


def filter_params(
    source: Path,
    destination: Path,
    context: FilterContext,
    received: tuple[Path, str] | None = None,
) -> dict[str, Any]:
    """Return the parameters of ``filter``.

    Args:
        source: What goes in.
        destination: Where it goes.
        context: What filters are told.
        received: The model that differences are made to, and its digest; None on the way in.
    """
    params: dict[str, Any] = {
        "source": str(source),
        "destination": str(destination),
        "context": context_fields(context),
    }
    if received is not None:
        params |= {"received": str(received[0]), "received_sha256": received[1]}
    return params


def context_fields(context: FilterContext) -> dict[str, Any]:
    """Return a context as JSON values; questions to other sites go over the socket."""
    told = {field.name: getattr(context, field.name) for field in fields(context)}
    told["secret"] = context.secret.hex()
    del told["exchange"]
    return {key: str(value) if isinstance(value, Path) else value for key, value in told.items()}
