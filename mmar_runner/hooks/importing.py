# SPDX-License-Identifier: Apache-2.0
"""Importing what a component is built from: only what the site's policy allows."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.errors import ComponentBuildError, NotAuthorizedError
from mmar_runner.hooks.byoc import load_custom
from mmar_runner.security.policy.class_paths import identity_allowed, spelling_allowed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from mmar_runner.interfaces.catalog import ComponentDescription, ComponentKind


#: The mend of whoever cannot build a component for a reason that is not known here.
ASK_DOCTOR: Final = "`mmar-runner plugins doctor` shows what is wrong with installed plugins"


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
        check_spelling(description.kind, description.name, allowed)
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


def import_custom(kind: ComponentKind, folder: Path, name: str) -> Callable[..., Any]:
    """Import and return a class of an MMAR's own code.

    Args:
        kind: What it is to be.
        folder: The MMAR's ``custom/``, whose code may run here.
        name: The dotted path within it.

    Raises:
        ComponentBuildError: It cannot be imported, or is no class.
    """
    target = load_custom(folder, name)
    if not isinstance(target, type):
        raise ComponentBuildError(f"{kind} {name!r}: custom/ has something else than a class")
    return target


def check_spelling(kind: ComponentKind, dotted: str, allowed: Sequence[str] | None) -> None:
    """Refuse a class path that the site's policy does not allow, by how it is written.

    Args:
        kind: What it is to be.
        dotted: The class path.
        allowed: The class paths that the policy allows, as prefixes; None without a policy.

    Raises:
        NotAuthorizedError: COMPONENT_NOT_ALLOWED.
    """
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
    return f"correct it in {description.distribution}" if description.of_file else ASK_DOCTOR
