# SPDX-License-Identifier: Apache-2.0
"""Every registered component, by kind and name: the catalog that all rooms ask.

Nobody wins by being first. A name that two plugins claim stays in the catalog and
answers with `PluginConflictError`, so only an MMAR that needs it is affected.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mmar_runner.errors import PluginConflictError
from mmar_runner.hooks.registrar import Origin, Registrar
from mmar_runner.interfaces.catalog import ComponentDescription, ComponentKind

if TYPE_CHECKING:
    from mmar_runner.hooks.tables import ComponentTable


@dataclass(frozen=True, slots=True)
class PluginFailure:
    """A plugin that is not in force, and why.

    Attributes:
        plugin: The plugin's name.
        distribution: Where it was found; for a conflict, every distribution.
        reason: A stable upper-case id.
        message: What is wrong, in one sentence.
        hint: How to mend it, if that is known.
        traceback: The full traceback, or empty.
    """

    plugin: str
    distribution: str
    reason: str
    message: str
    hint: str | None = None
    traceback: str = ""


@dataclass(frozen=True, slots=True)
class NameConflict:
    """A component name or alias that more than one plugin claims."""

    kind: ComponentKind
    name: str
    claims: tuple[ComponentDescription, ...]

    def error(self) -> PluginConflictError:
        """Return the error that whoever needs the name gets."""
        files = sorted({d.distribution for d in self.claims if d.of_file})
        hint = "uninstall one of them, or name those to load in MMAR_RUNNER_PLUGINS"
        if files:
            hint = f"give it another name in {files[-1]}, or move that file out of the folder"
        message = f"{self.kind} {self.name!r} is claimed by {_sources(self.claims)}"
        return PluginConflictError(message, hint=hint)


class ComponentRegistry:
    """A `ComponentCatalog` that is filled once, when plugins are loaded."""

    def __init__(self) -> None:
        self._claims: dict[tuple[ComponentKind, str], list[ComponentDescription]] = {}
        self._descriptions: list[ComponentDescription] = []
        self._tables: dict[ComponentKind, list[ComponentTable]] = {}
        self._failures: dict[str, PluginFailure] = {}
        #: What a process finds that loads no folder of further plugins.
        self.installed: ComponentRegistry = self
        #: The command that examines what was loaded here.
        self.doctor = "mmar-runner plugins doctor"

    def add(self, **arguments: Any) -> None:
        """Register one component that belongs to no plugin; see `Registrar.add`."""
        registrar = Registrar(Origin(plugin="", distribution=""))
        registrar.add(**arguments)
        self.accept(registrar)

    def accept(self, registrar: Registrar) -> None:
        """Take over everything that one plugin registered."""
        for description in registrar.descriptions:
            self._descriptions.append(description)
            for name in (description.name, *description.aliases):
                self._claims.setdefault((description.kind, name), []).append(description)
        for table in registrar.tables:
            self._tables.setdefault(table.kind, []).append(table)

    def record_failure(self, failure: PluginFailure) -> None:
        """Remember a plugin that could not be loaded."""
        self._failures[failure.plugin] = failure

    def find(self, kind: ComponentKind | str, name: str) -> ComponentDescription | None:
        """Return the component of that kind with that name, alias or path, or None.

        Raises:
            PluginConflictError: More than one plugin claims the name.
        """
        kind = ComponentKind(kind)
        description = self._claimed(kind, name)
        return description if description is not None else self._under_prefix(kind, name)

    def names(self, kind: ComponentKind | str) -> Sequence[str]:
        """Return the names of a kind that are registered one by one, sorted.

        Aliases, path prefixes, and what stands in tables are not among them.
        """
        found = {d.name for d in self._descriptions if d.kind == kind and not d.path_prefix}
        return sorted(found)

    def tabled(self, kind: ComponentKind | str) -> Sequence[str]:
        """Return the names of a kind that stand in tables, sorted, without aliases."""
        tables = self._tables.get(ComponentKind(kind), ())
        return sorted({name for table in tables for name in table.names()})

    def at_target(self, kind: ComponentKind | str, dotted: str) -> ComponentDescription | None:
        """Return the component of that kind that a class path leads to, or None."""
        for one in self._descriptions:
            if one.kind == kind and one.target.replace(":", ".") == dotted:
                return one
        found = (table.at_target(dotted) for table in self._tables.get(ComponentKind(kind), ()))
        return next((one for one in found if one is not None), None)

    def kinds_of(self, name: str) -> Sequence[ComponentKind]:
        """Return the kinds under which a name or alias is registered."""
        return [k for k in ComponentKind if (k, name) in self._claims or self._in_tables(k, name)]

    def broken(self) -> Mapping[str, str]:
        """Return the plugins that could not be loaded: name to reason."""
        return {failure.plugin: failure.message for failure in self._failures.values()}

    @property
    def failures(self) -> tuple[PluginFailure, ...]:
        """Every plugin that could not be loaded, by name."""
        return tuple(self._failures[name] for name in sorted(self._failures))

    def descriptions(self) -> Sequence[ComponentDescription]:
        """Return every registered component, sorted by kind, name and distribution."""
        order = list(ComponentKind)
        return sorted(
            self._descriptions, key=lambda d: (order.index(d.kind), d.name, d.distribution)
        )

    def tabled_descriptions(
        self, kind: ComponentKind | None = None
    ) -> Sequence[ComponentDescription]:
        """Return every component that stands in a table, sorted by kind and name.

        Args:
            kind: Only of this kind.
        """
        tables = [t for k in ComponentKind for t in self._tables.get(k, ()) if kind in {None, k}]
        return [found for t in tables for name in t.names() if (found := t.find(name)) is not None]

    def conflicts(self) -> Sequence[NameConflict]:
        """Return every name that more than one plugin claims."""
        named = {key: [*claims, *self._in_tables(*key)] for key, claims in self._claims.items()}
        return [
            NameConflict(kind, name, tuple(claims))
            for (kind, name), claims in sorted(named.items())
            if len(claims) > 1
        ]

    def _claimed(self, kind: ComponentKind, name: str) -> ComponentDescription | None:
        claims = [*self._claims.get((kind, name), ()), *self._in_tables(kind, name)]
        if len(claims) > 1:
            raise NameConflict(kind, name, tuple(claims)).error()
        # A bare prefix ("torch.nn.") names no class.
        return claims[0] if claims and not claims[0].path_prefix else None

    def _in_tables(self, kind: ComponentKind, name: str) -> list[ComponentDescription]:
        if "." in name:
            return []  # tables hold names, and no dotted ones
        found = (table.find(name) for table in self._tables.get(kind, ()))
        return [one for one in found if one is not None]

    def _under_prefix(self, kind: ComponentKind, path: str) -> ComponentDescription | None:
        head, dot, attribute = path.rpartition(".")
        if not all(part.isidentifier() and part[0] != "_" for part in path.split(".")):
            return None
        while dot:
            claims = self._claims.get((kind, f"{head}."), [])
            if len(claims) > 1:
                raise NameConflict(kind, f"{head}.", tuple(claims)).error()
            if claims:
                module = path.rpartition(".")[0]
                return replace(claims[0], name=path, target=f"{module}:{attribute}")
            head, dot, _ = head.rpartition(".")
        return None


def _sources(claims: Sequence[ComponentDescription]) -> str:
    return " and ".join(sorted({d.origin for d in claims}))
