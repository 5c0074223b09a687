# SPDX-License-Identifier: Apache-2.0
"""The network of a bundle as a server can declare it: by name or path, with literal arguments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.errors import FormatError, PluginConflictError
from mmar_runner.interfaces.catalog import ComponentKind
from mmar_runner.mmar.bundle.merged import arguments, has, literal
from mmar_runner.mmar.bundle.texts import TARGET

if TYPE_CHECKING:
    from mmar_runner.interfaces.catalog import ComponentCatalog

#: Ids under which bundles declare their network; the first is the one of MONAI's specification.
_IDS: Final = ("network_def", "network", "net", "model")
_MODEL: Final = ComponentKind.MODEL


@dataclass(frozen=True, slots=True)
class Network:
    """What was found out of a network.

    Attributes:
        declaration: Its declaration as a component; None if there is none.
        where: The id that declares it.
        why: Why there is none.
    """

    declaration: dict[str, Any] | None = None
    where: str = ""
    why: str = "the configuration declares no network_def"


def find_network(config: dict[str, Any], catalog: ComponentCatalog) -> Network:
    """Return the network that a configuration declares."""
    where = next((name for name in _IDS if has(config, name)), None)
    if where is None:
        return Network()
    try:
        part = literal(config, where)
    except FormatError as error:
        return Network(where=where, why=f"the network is not declared as data ({error.message})")
    target = part.get(TARGET) if isinstance(part, dict) else None
    if not isinstance(target, str):
        return Network(where=where, why=f"{where} names no class")
    identity = _identity(catalog, target)
    if identity is None:
        return Network(where=where, why=f"no installed plugin knows the network {target!a}")
    return Network({**identity, "args": arguments(part)}, where)


def _identity(catalog: ComponentCatalog, target: str) -> dict[str, str] | None:
    try:
        found = catalog.find(_MODEL, target)
        if found is not None and found.path_prefix:
            found = catalog.at_target(_MODEL, target) or found
    except PluginConflictError:
        return None
    if found is None:
        return None
    return {"path": target} if found.path_prefix else {"name": found.name}
