# SPDX-License-Identifier: Apache-2.0
"""What of a configuration file is handed to those who run it, and so is judged.

Comments, and everything but the name of a component that is switched off, are taken out
beforehand: what nobody gets needs no judgement, and whatever anybody gets is judged.
"""

from __future__ import annotations

from typing import Any, Final

from mmar_runner.mmar.sources.keys import COMMENT, KEYS, PART_KEYS

_DECLARATION: Final = PART_KEYS.union(KEYS)
_KEPT: Final = ("name", "ref", "disabled")


def without_idle_parts(value: Any, *, arguments: bool = False) -> Any:
    """Return a value without comments and without what is switched off.

    Args:
        value: Part of a configuration file, its variables replaced.
        arguments: Whether it is the arguments of a component, which have no comments:
            there every key means something.
    """
    if isinstance(value, list):
        return [without_idle_parts(item, arguments=arguments) for item in value]
    if not isinstance(value, dict):
        return value
    if _is_switched_off(value):
        return {key: value[key] for key in _KEPT if key in value}
    return {
        key: without_idle_parts(item, arguments=arguments or key == "args")
        for key, item in value.items()
        if arguments or not key.startswith(COMMENT)
    }


def _is_switched_off(value: dict[str, Any]) -> bool:
    """Return True for a component's declaration, and nothing that only resembles one."""
    return (
        value.get("disabled") is True
        and (isinstance(value.get("name"), str) or isinstance(value.get("path"), str))
        and isinstance(value.get("args", {}), dict)
        and all(key in _DECLARATION or key.startswith(COMMENT) for key in value)
    )
