# SPDX-License-Identifier: Apache-2.0
"""From a declaration to a component: ``{"name": "FedAvg", "args": {...}}`` to an object.

A blueprint is made without importing anything; only `build` imports. A declaration
inside the arguments, where the schema says ``x-component``, becomes a blueprint of its
own, at any depth, so that the component that receives it decides when, how often and
with which further arguments it is built.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.errors import (
    ComponentBuildError,
    ComponentNotFoundError,
    NotAuthorizedError,
)
from mmar_runner.hooks.byoc import has_module, load_custom
from mmar_runner.hooks.registrar import X_COMPONENT
from mmar_runner.interfaces.catalog import ComponentDescription, ComponentKind
from mmar_runner.security.policy.class_paths import identity_allowed, spelling_allowed

if TYPE_CHECKING:
    from pathlib import Path

    from mmar_runner.interfaces.catalog import Blueprint, ComponentCatalog

#: The mend of whoever cannot build a component for a reason that is not known here.
ASK_DOCTOR: Final = "`mmar-runner plugins doctor` shows what is wrong with installed plugins"


@dataclass(frozen=True, slots=True)
class ComponentBlueprint:
    """A `Blueprint`: everything that is needed to build a component, but not built.

    Attributes:
        kind: What will be built.
        name: The declared name or path.
        args: The declared arguments; nested declarations are blueprints.
        load: Imports and returns what is called to build it.
        hint: Where to look if it cannot be built.
    """

    kind: ComponentKind
    name: str
    args: Mapping[str, Any]
    load: Callable[[], Callable[..., Any]]
    hint: str

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
            message = f"{self.kind} {self.name!r} cannot be built: {type(error).__name__}: {error}"
            raise ComponentBuildError(message, hint=self.hint) from error


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
            _check_spelling(kind, name, allowed)
        nested = _Nesting(catalog, custom_dir, allowed).arguments(description.args_schema, args)
        hint = f"`mmar-runner plugins show {name}` shows its arguments"
        return ComponentBlueprint(kind, name, nested, _importer(description, allowed), hint)
    if path and not (custom_dir and has_module(custom_dir, name.rpartition(".")[0])):
        _check_spelling(kind, name, allowed)
    if path and custom_dir is not None:
        folder = custom_dir
        hint = f"compare the declared arguments with the constructor in {folder}"
        return ComponentBlueprint(kind, name, args, lambda: _custom(kind, folder, name), hint)
    raise _not_found(catalog, kind, name)


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


def import_target(
    description: ComponentDescription, *, allowed: Sequence[str] | None = None
) -> Any:
    """Import and return what a description's target names.

    Args:
        description: What the catalog says of it.
        allowed: The class paths that the site's policy allows, as prefixes; None without
            a policy.

    Raises:
        NotAuthorizedError: COMPONENT_NOT_ALLOWED, by its path (nothing was imported) or
            by what the path turned out to lead to.
        ComponentBuildError: The module cannot be imported or lacks the attribute, or a
            path names something that is not a class of the package its prefix allows.
    """
    module_name, _, attribute = description.target.partition(":")
    label = f"{description.kind} {description.name!r}"
    if description.path_prefix:
        _check_spelling(description.kind, description.name, allowed)
    try:
        target = getattr(importlib.import_module(module_name), attribute)
    except Exception as error:
        raise ComponentBuildError(
            f"{label} cannot be imported from {description.target}: "
            f"{type(error).__name__}: {error}",
            hint=_import_hint(description, error),
        ) from error
    if description.path_prefix and allowed is not None:
        _check_identity(target, label, allowed)
    if description.path_prefix:
        _check_class(target, module_name, label)
    return target


class _Nesting:
    """Replaces nested declarations by blueprints, following the arguments' schema."""

    def __init__(
        self,
        catalog: ComponentCatalog,
        custom_dir: Path | None,
        allowed: Sequence[str] | None,
    ) -> None:
        self._catalog = catalog
        self._custom_dir = custom_dir
        self._allowed = allowed

    def arguments(self, schema: Mapping[str, Any], value: Mapping[str, Any]) -> dict[str, Any]:
        properties = schema.get("properties", {})
        other = schema.get("additionalProperties")
        nested = {}
        for key, item in value.items():
            part = properties.get(key, other)
            if not (_is_component(part) and _is_disabled(item)):
                nested[key] = self._value(part, item)
        return nested

    def _value(self, schema: Any, value: Any) -> Any:
        if not isinstance(schema, Mapping):
            return value
        if isinstance(value, list):
            # "x-component" may stand on the array or on its items.
            inner = schema if X_COMPONENT in schema else schema.get("items")
            kept = [v for v in value if not (_is_component(inner) and _is_disabled(v))]
            return [self._value(inner, v) for v in kept]
        if not isinstance(value, Mapping):
            return value
        if X_COMPONENT in schema:
            kind = schema[X_COMPONENT]
            return blueprint(
                self._catalog, kind, value, custom_dir=self._custom_dir, allowed=self._allowed
            )
        return self.arguments(schema, value)


def _is_component(schema: Any) -> bool:
    return isinstance(schema, Mapping) and X_COMPONENT in schema


def _is_disabled(value: Any) -> bool:
    return isinstance(value, Mapping) and value.get("disabled") is True


def _importer(
    description: ComponentDescription, allowed: Sequence[str] | None
) -> Callable[[], Callable[..., Any]]:
    def load() -> Callable[..., Any]:
        target: object = import_target(description, allowed=allowed)
        if not callable(target):
            message = f"{description.kind} {description.name!r}: {description.target} is no class"
            raise ComponentBuildError(message)
        return target

    return load


def _custom(kind: ComponentKind, folder: Path, name: str) -> Callable[..., Any]:
    target = load_custom(folder, name)
    if not isinstance(target, type):
        raise ComponentBuildError(f"{kind} {name!r}: custom/ has something else than a class")
    return target


def _check_spelling(kind: ComponentKind, dotted: str, allowed: Sequence[str] | None) -> None:
    if allowed is None or spelling_allowed(dotted, allowed):
        return
    msg = f"the policy does not allow the class path {dotted!r} ({kind})"
    hint = "a site adds it to allowed_path_prefixes; or use a registered name"
    raise NotAuthorizedError(msg, hint=hint, reason="COMPONENT_NOT_ALLOWED")


def _check_identity(target: Any, label: str, allowed: Sequence[str]) -> None:
    # A path says where somebody looked; only the class itself says what was found.
    module = str(getattr(target, "__module__", "") or type(target).__module__)
    name = str(getattr(target, "__qualname__", "") or type(target).__qualname__)
    if isinstance(target, type) and identity_allowed(module, name, allowed):
        return
    what = "the class" if isinstance(target, type) else "no class, but"
    msg = f"{label} is {what} {module}.{name}, which the policy does not allow"
    hint = "a path must lead to a class that is defined where allowed_path_prefixes say"
    raise NotAuthorizedError(msg, hint=hint, reason="COMPONENT_NOT_ALLOWED")


def _check_class(target: Any, module_name: str, label: str) -> None:
    # A module re-exports what it imports; a prefix allows the package's own classes only.
    package = module_name.partition(".")[0]
    if not isinstance(target, type) or target.__module__.partition(".")[0] != package:
        raise ComponentBuildError(
            f"{label} is not a class of {package}",
            hint="a path must name a class that the allowed package itself defines",
        )


def _import_hint(description: ComponentDescription, error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f"install {error.name!r}, which {description.distribution or 'it'} needs"
    return ASK_DOCTOR


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
