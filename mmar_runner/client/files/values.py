# SPDX-License-Identifier: Apache-2.0
"""Dataclasses as plain mappings, without the deep copies of ``dataclasses.asdict``."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def values_of(value: DataclassInstance) -> dict[str, Any]:
    """Return the fields of a dataclass by name; the values themselves, not copies."""
    return {field.name: getattr(value, field.name) for field in fields(value)}
