# SPDX-License-Identifier: Apache-2.0
"""From a declaration to a component: ``{"name": "FedAvg", "args": {...}}`` to an object.

A blueprint is made without importing anything; only `build` imports. A declaration
inside the arguments, where the schema says ``x-component``, becomes a blueprint of its
own, at any depth, so that the component that receives it decides when, how often and
with which further arguments it is built.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from mmar_runner.errors import ComponentBuildError, ComponentNotFoundError, NotAuthorizedError
from mmar_runner.hooks.admitting import require_admitted, require_declarable
from mmar_runner.hooks.byoc import has_module
from mmar_runner.hooks.importing import check_spelling, import_custom, import_target
from mmar_runner.hooks.raised import told
from mmar_runner.interfaces.catalog import ComponentDescription, ComponentKind
from mmar_runner.interfaces.nested import is_off, nested_places, value_at, with_parts

if TYPE_CHECKING:
    from pathlib import Path

    from mmar_runner.interfaces.catalog import Blueprint, ComponentCatalog


@dataclass(frozen=True, slots=True)
class ComponentBlueprint:
    """A `Blueprint`: everything that is needed to build a component, but not built.

    Attributes:
        kind: What will be built.
        name: The declared name or path.
        args: The declared arguments; nested declarations are blueprints.
        load: Imports and returns what is called to build it.
        hint: Where to look if it cannot be built.
        facts: What its plugin states of it; empty for own code.
    """

    kind: ComponentKind
    name: str
    args: Mapping[str, Any]
    load: Callable[[], Callable[..., Any]]
    hint: str
    facts: Mapping[str, Any] = field(default_factory=dict)

    def build(self, *positional: Any, **extra: Any) -> Any:
        """Import the target and call it; ``extra`` goes before declared arguments.

        Raises:
            ComponentBuildError: The import or the call failed.
            NotAuthorizedError: It is not what the site's policy allows; it was not called.
        """
        target = self.load()
        try:
            return target(*positional, **{**self.args, **extra})
        except (ComponentBuildError, NotAuthorizedError):
            raise  # A part of it, which says more than its owner could.
        except Exception as error:
            message = f"{self.kind} {self.name!r} cannot be built: {told(error)}"
            # Anything else is not about its arguments, and what they are is no help.
            hint = self.hint if isinstance(error, (TypeError, ValueError)) else None
            raise ComponentBuildError(message, hint=hint) from error


def blueprint(
    catalog: ComponentCatalog,
    kind: ComponentKind | str,
    declaration: Mapping[str, Any],
    *,
    custom_dir: Path | None = None,
    allowed: Sequence[str] | None = None,
) -> Blueprint:
    """Turn a declaration into a blueprint.

    Args:
        catalog: What is installed.
        kind: The kind the declaration stands for.
        declaration: ``{"name"|"path": ..., "args": {...}}``; path goes before name.
        custom_dir: The MMAR's ``custom/`` folder if its code may run here.
        allowed: The class paths that the site's policy allows, as prefixes; None without
            a policy.

    Raises:
        ComponentNotFoundError: Nothing of that kind and name is there.
        ComponentBuildError: It cannot be used, or its arguments do not fit its schema.
        NotAuthorizedError: COMPONENT_NOT_ALLOWED, the policy does not allow the path.
        PluginConflictError: Two plugins claim the name.
    """
    kind = ComponentKind(kind)
    path = declaration.get("path")
    name = path or declaration.get("name")
    if not isinstance(name, str):
        raise ComponentNotFoundError(f"a {kind} is declared without a name")
    args = declaration.get("args") or {}
    description = catalog.find(kind, name)
    if description is not None:
        if description.path_prefix:
            check_spelling(kind, name, allowed)
        inside = partial(blueprint, catalog, custom_dir=custom_dir, allowed=allowed)
        require_declarable(catalog, description, args)
        nested = _with_blueprints(description.args_schema, args, inside)
        hint = f"`mmar-runner plugins show {name}` shows its arguments"
        importer, facts = _importer(description, allowed, args), description.extras
        return ComponentBlueprint(kind, name, nested, importer, hint, facts)
    if path and not (custom_dir and has_module(custom_dir, name.rpartition(".")[0])):
        check_spelling(kind, name, allowed)
    if path and custom_dir is not None:
        folder = custom_dir
        hint = f"compare the declared arguments with the constructor in {folder}"
        return ComponentBlueprint(kind, name, args, lambda: import_custom(kind, folder, name), hint)
    raise _not_found(catalog, kind, name)


def _with_blueprints(
    schema: Mapping[str, Any],
    args: Mapping[str, Any],
    inside: Callable[[ComponentKind, Mapping[str, Any]], Blueprint],
) -> dict[str, Any]:
    """Return arguments with blueprints for nested declarations, and without those that are off."""
    places = [(place, kind, value_at(args, place)) for place, kind in nested_places(schema, args)]
    off = [place for place, _, declared in places if is_off(declared)]
    made = {
        place: inside(kind, declared) for place, kind, declared in places if not is_off(declared)
    }
    return with_parts(args, made, off)


def build_component(
    catalog: ComponentCatalog,
    kind: ComponentKind | str,
    declaration: Mapping[str, Any],
    expected_type: type[Any] | None = None,
    *,
    custom_dir: Path | None = None,
    allowed: Sequence[str] | None = None,
) -> Any:
    """Build a component and check what came out.

    Raises:
        ComponentNotFoundError: Nothing of that kind and name is there.
        NotAuthorizedError: COMPONENT_NOT_ALLOWED, the site's policy does not allow it.
        ComponentBuildError: The import or the call failed, or the object is not an
            ``expected_type``.
    """
    made = blueprint(catalog, kind, declaration, custom_dir=custom_dir, allowed=allowed)
    component = made.build()
    if expected_type is not None and not isinstance(component, expected_type):
        raise ComponentBuildError(
            f"{made.kind} {made.name!r} is a {type(component).__name__}, "
            f"not a {expected_type.__name__}",
            hint=f"derive the class from {expected_type.__module__}.{expected_type.__name__}",
        )
    return component


def _importer(
    description: ComponentDescription, allowed: Sequence[str] | None, args: Mapping[str, Any]
) -> Callable[[], Callable[..., Any]]:
    def load() -> Callable[..., Any]:
        target: object = import_target(description, allowed=allowed)
        if not callable(target):
            message = f"{description.kind} {description.name!r}: {description.target} is no class"
            raise ComponentBuildError(message)
        require_admitted(description, target, args)
        return target

    return load


def _not_found(catalog: ComponentCatalog, kind: ComponentKind, name: str) -> ComponentNotFoundError:
    others = [str(k) for k in catalog.kinds_of(name)]
    close = difflib.get_close_matches(name, catalog.names(kind), n=1)
    if others:
        hint = f"it is registered as {' and '.join(others)}"
    elif close:
        hint = f"did you mean {close[0]!r}?"
    elif catalog.broken():
        hint = f"these plugins are broken: {', '.join(sorted(catalog.broken()))}"
    else:
        hint = "`mmar-runner plugins list` shows what is installed"
    return ComponentNotFoundError(f"no {kind} {name!r} is installed", hint=hint)
