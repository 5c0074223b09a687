# SPDX-License-Identifier: Apache-2.0
"""Tables of components: many parts of a trainer in one JSON file, read once one is asked for.

A framework brings hundreds of classes. Described one by one they would be read by every
command that starts; in a table they cost nothing before somebody looks up something of
their kind, and then the reading of one file and the making of the description asked for.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mmar_runner.errors import PluginLoadError
from mmar_runner.interfaces.catalog import ComponentDescription, ComponentKind

#: Makes a description of the arguments of `Registrar.add`.
Describe = Callable[..., ComponentDescription]


class ComponentTable:
    """The components of one kind that stand in a file.

    Args:
        kind: What they are.
        file: A JSON object, entry by name; docs/reference/plugins.md says what is in one.
        describe: Makes a description, with the checks of every registration.
        facts: What is stated of every entry; its own facts go before them.
    """

    def __init__(
        self,
        kind: ComponentKind,
        file: Path,
        describe: Describe,
        facts: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        self.kind = kind
        self.file = file
        self._describe = describe
        self._facts = facts
        self._made: dict[str, ComponentDescription] = {}

    def find(self, name: str) -> ComponentDescription | None:
        """Return the component with a name or alias, or None.

        Raises:
            PluginLoadError: The file cannot be read, or its entry is wrong.
        """
        own = name if name in self._entries else self._aliases.get(name)
        if own is None:
            return None
        if own not in self._made:
            self._made[own] = self._described(own, self._entries[own])
        return self._made[own]

    def at_target(self, dotted: str) -> ComponentDescription | None:
        """Return the component that a class path leads to, or None."""
        name = self._paths.get(dotted)
        return None if name is None else self.find(name)

    def names(self) -> Sequence[str]:
        """Return all names, sorted, without aliases."""
        return sorted(self._entries)

    @cached_property
    def _entries(self) -> Mapping[str, Any]:
        try:
            entries = json.loads(self.file.read_bytes())
        except (OSError, ValueError) as error:
            message = f"the table of components {self.file.name} cannot be read: {error}"
            raise PluginLoadError(message, hint="install the plugin again") from error
        if not isinstance(entries, dict):
            raise PluginLoadError(f"the table of components {self.file.name} is no JSON object")
        return entries

    @cached_property
    def _aliases(self) -> Mapping[str, str]:
        return {a: name for name, entry in self._entries.items() for a in entry.get("aliases", ())}

    @cached_property
    def _paths(self) -> Mapping[str, str]:
        found = {}
        for name, entry in self._entries.items():
            replaced = "becomes" in entry.get("facts", {})  # its target is another one's
            own = () if replaced else (entry["target"].replace(":", "."),)
            found.update(dict.fromkeys((*own, *entry.get("paths", ())), name))
        return found

    def _described(self, name: str, entry: Mapping[str, Any]) -> ComponentDescription:
        schema = {
            "type": "object",
            "properties": entry.get("properties", {}),
            "required": entry.get("required", []),
            "additionalProperties": False,
            **entry.get("together", {}),
        }
        return self._describe(
            kind=self.kind,
            name=name,
            target=entry["target"],
            args_schema=schema,
            aliases=entry.get("aliases", ()),
            summary=entry.get("summary", ""),
            extras={**self._facts, **entry.get("facts", {})},
        )
