# SPDX-License-Identifier: Apache-2.0
"""What is asked of a declaration once more where it is built: in a child, or at a server.

The validator asks the same before a run. What it did not see as a declaration, or saw in
another place, does not become one here.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.errors import ComponentBuildError

if TYPE_CHECKING:
    from mmar_runner.interfaces.catalog import ComponentCatalog, ComponentDescription

#: The fact that names the function which a plugin wants asked.
ADMITTED_BY: Final = "admitted_by"


def require_declarable(
    catalog: ComponentCatalog, description: ComponentDescription, args: Mapping[str, Any]
) -> None:
    """Refuse a component that cannot be used, and arguments that do not fit its schema.

    Args:
        catalog: What is installed.
        description: What it says of the component.
        args: As declared.

    Raises:
        ComponentBuildError: It does not fit.
    """
    # Deferred: whoever only lists what is installed needs no schemas.
    from mmar_runner.documents.schema_check import faults  # noqa: PLC0415
    from mmar_runner.documents.words import pointer_text  # noqa: PLC0415

    kind, name, schema = description.kind, description.name, description.args_schema
    if description.path_prefix:
        if why := description.extras.get("unfit", {}).get(name):
            raise ComponentBuildError(
                f"{kind} {name!r} cannot be used here: {why}", hint="name another component"
            )
        registered = catalog.at_target(kind, name)
        if registered is None:
            return  # nothing is known of its arguments
        description, schema = registered, registered.args_schema
    if stated := description.extras.get("undeclarable"):
        message = f"{kind} {name!r} needs {stated['argument']!r}, which cannot be written in JSON"
        raise ComponentBuildError(message, hint=stated["instead"])
    for fault in faults(schema, args):
        where = pointer_text(("args", *fault.path))
        raise ComponentBuildError(
            f"{kind} {name!r} cannot be built: {where}: {fault.message}", hint=fault.hint
        )


def require_admitted(
    description: ComponentDescription, target: Any, args: Mapping[str, Any]
) -> None:
    """Ask the component's plugin, if it wants to be asked, before a target is called.

    Args:
        description: What the catalog says of the component.
        target: What was imported.
        args: As declared.

    Raises:
        NotAuthorizedError: The plugin refuses it.
        PluginError: The plugin refuses it, or there is no such function.
    """
    asked = description.extras.get(ADMITTED_BY)
    if asked is None:
        return
    module, _, function = str(asked).partition(":")
    try:
        admit = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        message = f"{description.kind} {description.name!r}: there is no {asked}"
        raise ComponentBuildError(message, hint="install its plugin again") from error
    admit(description.kind.value, description.name, target, args)
