# SPDX-License-Identifier: Apache-2.0
"""What one plugin registers, checked as it comes in.

The checks here are those that need no other library, because they run whenever any
command starts. ``plugins doctor`` and the contract suite check schemas in full.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mmar_runner.errors import PluginLoadError
from mmar_runner.hooks.tables import ComponentTable
from mmar_runner.interfaces.catalog import TRAINER_PARTS, ComponentDescription, ComponentKind
from mmar_runner.interfaces.nested import X_COMPONENT

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_DOTTED: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*(\.[A-Za-z_][A-Za-z0-9_-]*)*")
_PREFIX: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*\.)+")
_TARGET: Final = re.compile(r"([A-Za-z_]\w*(\.[A-Za-z_]\w*)*)?:[A-Za-z_]\w*")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a registration comes from.

    Attributes:
        plugin: The plugin's name (its entry point's, or its file's).
        distribution: The installed distribution, or the file of a one-file plugin.
        version: That distribution's version; of a file, the sha256 of its content.
        module: The plugin's module, to which a target such as ``:Median`` refers.
    """

    plugin: str
    distribution: str
    version: str = ""
    module: str = ""


class Registrar:
    """Collects what one plugin registers.

    Args:
        origin: The plugin that registers.
    """

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self.descriptions: list[ComponentDescription] = []
        self.tables: list[ComponentTable] = []
        self._claimed: set[tuple[ComponentKind, str]] = set()

    def add(
        self,
        *,
        kind: ComponentKind | str,
        name: str,
        target: str = "",
        args_schema: Mapping[str, Any] | None = None,
        aliases: Iterable[str] = (),
        path_prefix: bool = False,
        summary: str = "",
        extras: Mapping[str, Any] | None = None,
    ) -> None:
        """Register one component.

        Args:
            kind: What it is, a `ComponentKind` or its value.
            name: The name an MMAR uses; with ``path_prefix`` a dotted prefix that ends
                with a dot.
            target: ``module:attribute``; ``:attribute`` means the plugin's own module.
                Left out for a path prefix.
            args_schema: JSON Schema (2020-12) of the arguments, an object schema. Left
                out, the component takes none. Unless the schema says otherwise,
                arguments it does not name are refused.
            aliases: Older names, and dotted class paths of older systems.
            path_prefix: True if any class under ``name`` may be given by ``path``.
            summary: One line for ``plugins list``.
            extras: Static facts, such as ``{"memory": "O(block)"}``.

        Raises:
            PluginLoadError: An argument is wrong, or the plugin registers a name twice.
        """
        description = self._described(
            kind=kind,
            name=name,
            target=target,
            args_schema=args_schema,
            aliases=aliases,
            path_prefix=path_prefix,
            summary=summary,
            extras=extras,
        )
        self._claim(description)
        self.descriptions.append(description)

    def add_table(
        self,
        *,
        kind: ComponentKind | str,
        file: Path | str,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        """Register the components of one kind that stand in a file; nothing is read yet.

        Args:
            kind: A kind of trainers' parts.
            file: A JSON file of the plugin's own; see docs/reference/plugins.md.
            facts: What is stated of all of them, as `extras` of one.

        Raises:
            PluginLoadError: The kind is no trainer's part, or there is no such file.
        """
        checked, path = _checked_kind(kind, str(file)), Path(file)
        if checked not in TRAINER_PARTS:
            raise PluginLoadError(
                f"{path.name}: a table cannot hold components of the kind {checked.value!r}",
                hint="register them one by one: tables are for the parts of a trainer",
            )
        if not path.is_file():
            raise PluginLoadError(f"there is no table of components {path}")
        self.tables.append(ComponentTable(checked, path, self._described, dict(facts or {})))

    def _described(
        self,
        *,
        kind: ComponentKind | str,
        name: str,
        target: str = "",
        args_schema: Mapping[str, Any] | None = None,
        aliases: Iterable[str] = (),
        path_prefix: bool = False,
        summary: str = "",
        extras: Mapping[str, Any] | None = None,
    ) -> ComponentDescription:
        return ComponentDescription(
            kind=_checked_kind(kind, name),
            name=_checked_name(name, prefix=path_prefix),
            target=self._checked_target(target, name, prefix=path_prefix),
            args_schema=_checked_schema(args_schema, name, prefix=path_prefix),
            aliases=_checked_aliases(aliases, name),
            path_prefix=path_prefix,
            summary=" ".join(str(summary).split()),
            distribution=self.origin.distribution,
            version=self.origin.version,
            extras=dict(extras or {}),
        )

    def _checked_target(self, target: Any, name: str, *, prefix: bool) -> str:
        if prefix and not target:
            return ""
        if prefix or not isinstance(target, str) or not _TARGET.fullmatch(target):
            raise PluginLoadError(
                f"component {name!r}: target {target!r} is not 'module:attribute'",
                hint="write target='my_package.my_module:MyClass'; a path prefix has no target",
            )
        return f"{self.origin.module}{target}" if target.startswith(":") else target

    def _claim(self, description: ComponentDescription) -> None:
        for name in (description.name, *description.aliases):
            key = (description.kind, name)
            if key in self._claimed:
                raise PluginLoadError(
                    f"{description.kind} {name!r} is registered twice by this plugin",
                    hint="give each component and alias of one kind a name of its own",
                )
            self._claimed.add(key)


def _checked_kind(kind: ComponentKind | str, name: str) -> ComponentKind:
    try:
        return ComponentKind(kind)
    except ValueError as error:
        known = ", ".join(ComponentKind)
        message = f"component {name!r}: there is no kind {kind!r}"
        raise PluginLoadError(message, hint=f"kinds are {known}") from error


def _checked_name(name: Any, *, prefix: bool) -> str:
    pattern = _PREFIX if prefix else _NAME
    if isinstance(name, str) and pattern.fullmatch(name):
        return name
    hint = (
        "a path prefix is dotted and ends with a dot, such as 'torch.nn.'"
        if prefix
        else "a name is made of letters, digits, _ and -; dotted names can be aliases"
    )
    raise PluginLoadError(f"{name!r} cannot be the name of a component", hint=hint)


def _checked_aliases(aliases: Iterable[Any], name: str) -> tuple[str, ...]:
    if isinstance(aliases, str):
        message = f"component {name!r}: aliases is one string"
        raise PluginLoadError(message, hint=f"write aliases=[{aliases!r}]")
    checked = tuple(aliases)
    for alias in checked:
        if not isinstance(alias, str) or not _DOTTED.fullmatch(alias):
            message = f"component {name!r}: {alias!r} cannot be an alias"
            raise PluginLoadError(message, hint="an alias is a name or a dotted class path")
    return checked


def _checked_schema(schema: Any, name: str, *, prefix: bool) -> dict[str, Any]:
    if schema is None:
        schema = {}
    if not isinstance(schema, Mapping):
        raise PluginLoadError(f"component {name!r}: args_schema is not a JSON object")
    checked = {"type": "object", **schema}
    if checked["type"] != "object":
        message = f"component {name!r}: args_schema has type {checked['type']!r}"
        raise PluginLoadError(message, hint="arguments are an object: use 'type': 'object'")
    checked.setdefault("properties", {})
    # An argument nobody declared is a misspelt one; only a prefix cannot know better.
    checked.setdefault("additionalProperties", prefix)
    _check_properties(checked, name)
    return checked


def _check_properties(schema: Mapping[str, Any], name: str) -> None:
    properties = schema["properties"]
    if not isinstance(properties, Mapping):
        raise PluginLoadError(f"component {name!r}: 'properties' of args_schema is not an object")
    for argument, value in properties.items():
        if not isinstance(value, Mapping):
            raise PluginLoadError(
                f"component {name!r}: the schema of argument {argument!r} is not an object"
            )
        _check_nested_kind(value, name, argument)
    missing = [r for r in schema.get("required", ()) if r not in properties]
    if missing:
        raise PluginLoadError(
            f"component {name!r}: required argument {missing[0]!r} is not among the properties"
        )


def _check_nested_kind(value: Mapping[str, Any], name: str, argument: str) -> None:
    items = value.get("items")
    for holder in (value, items if isinstance(items, Mapping) else {}):
        if X_COMPONENT in holder:
            _checked_kind(holder[X_COMPONENT], f"{name}.{argument}")
