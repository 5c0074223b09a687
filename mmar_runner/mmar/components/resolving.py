# SPDX-License-Identifier: Apache-2.0
"""Resolving component declarations, at any depth, without importing anything."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.documents.words import pointer_text
from mmar_runner.errors import PluginConflictError
from mmar_runner.interfaces.catalog import ComponentCatalog, ComponentDescription, ComponentKind
from mmar_runner.interfaces.entry_points import FACT
from mmar_runner.interfaces.nested import is_off, nested_places, with_parts
from mmar_runner.interfaces.tags import tags_of
from mmar_runner.mmar.bundle.standing import (
    Standing,
    no_such_target,
    older_arguments,
    standing_in,
)
from mmar_runner.mmar.code.installed_names import is_name
from mmar_runner.mmar.code.own_sources import CUSTOM
from mmar_runner.mmar.components.absent import Absent, became
from mmar_runner.mmar.components.arguments import arguments_fit
from mmar_runner.mmar.components.declarations import check_keys, has_identity, is_switched_off
from mmar_runner.mmar.components.inner import declares_all, is_missed
from mmar_runner.mmar.components.installed_class import is_constructed, is_not_there
from mmar_runner.mmar.components.older_code import CODE, adapter_of, lacking, misfits, unadapted
from mmar_runner.mmar.components.own_code import check_arguments, check_own_class
from mmar_runner.mmar.components.upgrades import upgrade_arguments, upgrade_identity
from mmar_runner.mmar.older.entry import class_of
from mmar_runner.mmar.older.federated import FEDERATED
from mmar_runner.mmar.spec import ComponentSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mmar_runner.documents.json_source import JsonPath
    from mmar_runner.mmar.bundle.standing import BundleFact
    from mmar_runner.mmar.code.byoc import ByocModules
    from mmar_runner.mmar.document import Document
    from mmar_runner.mmar.finding import Findings


@dataclass(frozen=True, slots=True)
class Resolved:
    """A declaration that was found out.

    Attributes:
        spec: What to build; None if it cannot be.
        description: What the catalog says of it; None for BYOC.
    """

    spec: ComponentSpec | None = None
    description: ComponentDescription | None = None


NOTHING = Resolved()
#: Letters that are shown of a text that is too long to be a class path.
_SHOWN: Final = 40


class Resolver:
    """Resolves the declarations of one MMAR."""

    def __init__(self, catalog: ComponentCatalog, byoc: ByocModules, findings: Findings) -> None:
        self._catalog = catalog
        self._byoc = byoc
        self._findings = findings
        self._absent = Absent(catalog, findings)
        #: Every class path that is named by ``path``, without the MMAR's own code and
        #: older names of registered components; installed or not.
        self.paths: list[tuple[Document, JsonPath, str]] = []
        #: Where components that start commands of the MMAR are declared, and what is known of them.
        self.starting: list[tuple[Document, JsonPath, ComponentDescription]] = []
        #: Whether what is resolved is declared for an adapter, which takes it as it is.
        self._adapting = False

    def resolve(
        self,
        document: Document,
        path: JsonPath,
        kind: ComponentKind,
        names: Mapping[str, str] = MappingProxyType({}),
    ) -> Resolved:
        """Resolve the declaration at a place; what is wrong with it becomes findings.

        Nothing is found, and nothing said, where there is no object, where it is empty,
        and where it is switched off. Older arguments are brought up to date in the document.

        Args:
            document: Where it stands.
            path: The place.
            kind: What it is to be.
            names: What names mean to whoever reads the document, where that is not the
                component of that name.
        """
        declaration = document.get(path)
        if not isinstance(declaration, dict) or not declaration:
            return NOTHING
        if is_switched_off(document, path, self._findings):
            return NOTHING
        if not has_identity(document, path, self._findings):
            return NOTHING
        check_keys(document, path, kind, self._findings)
        args = declaration.get("args", {})
        if not isinstance(args, dict):
            self._findings.at(document, (*path, "args"), "MMAR402", "'args' must be an object.")
            return NOTHING
        if "path" in declaration:
            too_long = self._is_too_long(document, path)
            return NOTHING if too_long else self._by_path(document, path, kind, args)
        return self._by_name(document, path, kind, args, names)

    def properties(self, kind: ComponentKind, name: str) -> Mapping[str, Any]:
        """Return the argument schemas of a component by argument; empty if unknown."""
        found = self.described(kind, name)
        known: Mapping[str, Any] = found.args_schema.get("properties", {}) if found else {}
        return known

    def facts(self, kind: ComponentKind, name: str) -> Mapping[str, Any]:
        """Return what a component's plugin states of it; empty if it is not known."""
        found = self.described(kind, name)
        return found.extras if found is not None else {}

    def described(self, kind: ComponentKind, name: str) -> ComponentDescription | None:
        """Return what is known of a component by its name, or by a class path that leads to it."""
        at_path = self._catalog.at_target(kind, name) if "." in name else None
        return self._catalog.find(kind, name) if at_path is None else at_path

    def tagged(self, kind: ComponentKind, tag: str) -> list[str]:
        """Return the names of a kind whose plugins state a tag, whatever their arguments."""
        return [n for n in self._catalog.names(kind) if tag in tags_of(self._stated(kind, n), {})]

    def _stated(self, kind: ComponentKind, name: str) -> Mapping[str, Any]:
        """Return a component's facts; none of a name that two plugins claim."""
        try:
            return self.facts(kind, name)
        except PluginConflictError:
            return {}

    def standing(self, fact: BundleFact, name: str) -> Standing:
        """Return what is known of what a bundle calls; nothing of a name that two claim.

        Code of the MMAR's own is free here: whether it runs at all is another question.
        """
        if "." in name and self._byoc.problem(name) is None:
            return Standing.FREE
        try:
            return standing_in(self._catalog, fact, name)
        except PluginConflictError:
            return Standing.UNKNOWN

    def no_such_target(self, fact: BundleFact, name: str) -> tuple[str, str | None] | None:
        """Return a sentence and a mend, or None, of what a bundle calls and nothing has."""
        if self._byoc.problem(name) is None:
            return None
        try:
            return no_such_target(self._catalog, fact, name)
        except PluginConflictError:
            return None

    def older_arguments(
        self, fact: BundleFact, name: str, arguments: Mapping[str, Any]
    ) -> list[tuple[str, str, str]]:
        """Return what a bundle's class does not take any more; nothing of the MMAR's own code."""
        if self._byoc.problem(name) is None:
            return []
        try:
            return list(older_arguments(self._catalog, fact, name, arguments))
        except PluginConflictError:
            return []

    def knows(self, dotted: str) -> bool:
        """Return True if a text is a name, or an older name, of a registered component."""
        return bool(self._catalog.kinds_of(dotted))

    # -- by name ---------------------------------------------------------------------

    def _by_name(
        self,
        document: Document,
        path: JsonPath,
        kind: ComponentKind,
        args: dict[str, Any],
        names: Mapping[str, str],
    ) -> Resolved:
        where = (*path, "name")
        name = str(document.get(where))
        label, _, _ = name.partition("#")
        wanted = label if kind is ComponentKind.TRANSFORM else name
        try:
            found = self._catalog.find(kind, names.get(wanted, wanted))
        except PluginConflictError as error:
            self._absent.conflict(document, where, error)
            return NOTHING
        if found is None:
            if not self._absent.unavailable(document, path, where):
                self._absent.not_installed(document, where, kind, name)
            return NOTHING
        if found.path_prefix:
            message = f"'{name}' is a class path, not a name."
            hint = 'Give it as "path".'
            self._findings.at(document, where, "MMAR501", message, hint=hint)
            return NOTHING
        if found.name not in {name, label, names.get(wanted)}:
            self._findings.at(document, where, "MMAR515", became(name, found))
        return self._described(document, path, found, args, {"name": found.name})

    # -- by path ---------------------------------------------------------------------

    def _by_path(
        self, document: Document, path: JsonPath, kind: ComponentKind, args: dict[str, Any]
    ) -> Resolved:
        where = (*path, "path")
        dotted = str(document.get(where))
        try:
            found = self._catalog.find(kind, dotted) or self._of_older_system(kind, dotted)
        except PluginConflictError as error:
            self._absent.conflict(document, where, error)
            return NOTHING
        if found is not None:
            known = {"path": dotted} if found.path_prefix else {"name": found.name}
            if not found.path_prefix and found.name != dotted:
                self._findings.at(document, where, "MMAR515", became(dotted, found))
            if found.path_prefix:
                self.paths.append((document, where, dotted))
                registered = self._catalog.at_target(kind, dotted)  # it says more than its prefix
                older = registered is not None and "becomes" in registered.extras
                if not older and is_not_there(document, where, found, dotted, self._absent):
                    return NOTHING
                if registered is None and not is_constructed(
                    document, path, kind, dotted, self._absent
                ):
                    return NOTHING
                found = registered or found
            return self._described(document, path, found, args, known)
        problem = self._byoc.problem(dotted)
        if problem is None:
            return self._own_code(document, path, kind, dotted, args)
        if not self._absent.unavailable(document, path, where):
            self.paths.append((document, where, dotted))
            self._absent.nobodys(document, where, kind, problem)
        return NOTHING

    def _is_too_long(self, document: Document, path: JsonPath) -> bool:
        """Return True, and say so, if a class path has more letters or parts than any has."""
        where = (*path, "path")
        dotted = str(document.get(where))
        if is_name(dotted):
            return False
        message = f"'{dotted[:_SHOWN]}...' has too many letters or parts for a class path."
        self._findings.at(document, where, "MMAR503", message, hint="Write module.Class.")
        return True

    def _of_older_system(self, kind: ComponentKind, dotted: str) -> ComponentDescription | None:
        """Return the component that does what a class of an older system did, by its name."""
        name = class_of(dotted) or ""
        found = self._catalog.find(kind, name) if name in FEDERATED else None
        return found if found is None or not found.path_prefix else None

    def _own_code(
        self,
        document: Document,
        path: JsonPath,
        kind: ComponentKind,
        dotted: str,
        args: dict[str, Any],
    ) -> Resolved:
        adapted = None if self._adapting else self._adapted(document, path, kind, dotted, args)
        if adapted is not None:
            return adapted
        declaration = {"path": dotted, "args": args}
        if self._adapting:
            place = _place(document, path)
            return Resolved(ComponentSpec(kind, declaration, dotted, args, **place, byoc=True))
        check_own_class(document, path, kind, self._byoc.source(dotted), self._findings)
        place = _place(document, path)
        return Resolved(ComponentSpec(kind, declaration, dotted, args, **place, byoc=True))

    def _adapted(
        self,
        document: Document,
        path: JsonPath,
        kind: ComponentKind,
        dotted: str,
        args: dict[str, Any],
    ) -> Resolved | None:
        """Return a class of older code behind its adapter; None if it is none."""
        found = self._byoc.heritage(dotted)
        if found is None:
            return None
        where = (*path, "path")
        adapter = adapter_of(self._catalog, kind, found)
        if adapter is None:
            lack = unadapted(kind, found)
            if lack is None:
                return None
            self._findings.at(document, where, lack.code, lack.message, hint=lack.hint)
            return NOTHING
        message = f"'{dotted}' is written to an older interface and runs behind '{adapter.name}'."
        self._findings.at(document, where, "MMAR530", message)
        if lacks_methods := lacking(adapter, found):
            message = f"The class lacks {', '.join(lacks_methods)}."
            hint = "Define what its interface asks for."
            self._findings.at(document, where, "MMAR521", message, hint=hint)
        for file, line, message, hint in misfits(adapter, found):
            self._findings.add(
                "MMAR521", message, file=CUSTOM + file, position=(line, 1), hint=hint
            )
        source = self._byoc.source(dotted)
        if source is not None:
            check_arguments(document, path, kind, source, self._findings)
        code = {CODE: {"path": dotted, "args": args}}
        declaration = {"name": adapter.name, "args": code}
        spec = ComponentSpec(kind, declaration, dotted, args, **_place(document, path), byoc=True)
        # Its arguments are the class's own: no schema knows them.
        return Resolved(spec, replace(adapter, args_schema={"type": "object"}))

    # -- arguments -------------------------------------------------------------------

    def _described(
        self,
        document: Document,
        path: JsonPath,
        found: ComponentDescription,
        args: dict[str, Any],
        identity: Mapping[str, str],
    ) -> Resolved:
        upgrade_arguments(document, path, found, self._findings)
        becomes = found.extras.get("becomes")
        newer = None if becomes is None else self._catalog.find(found.kind, becomes)
        if newer is not None:
            upgrade_identity(document, path, found, newer, self._findings)
            return self.resolve(document, path, found.kind)
        args = document.get(path).get("args", args)
        if FACT in found.extras:
            self.starting.append((document, path, found))
        sound = arguments_fit(document, path, found, self._findings)
        adapts = "adapts" in found.extras
        self._adapting, before = adapts, self._adapting
        canonical = self._nested(document, (*path, "args"), found.args_schema, args)
        self._adapting = before
        if canonical is None or not sound:
            return Resolved(None, found)
        name = identity.get("path", found.name)
        declaration = {**identity, "args": canonical}
        place = _place(document, path)
        spec = ComponentSpec(found.kind, declaration, name, canonical, **place, byoc=adapts)
        return Resolved(spec, found)

    def _nested(
        self, document: Document, path: JsonPath, schema: Mapping[str, Any], args: dict[str, Any]
    ) -> dict[str, Any] | None:
        """Return the arguments with canonical inner declarations; None if one is wrong."""
        parts, off = {}, []
        sound = declares_all(document, path, schema, args, self._findings)
        for place, kind in nested_places(schema, args):
            inner = self.resolve(document, (*path, *place), kind)
            if inner.spec is not None:
                parts[place] = dict(inner.spec.declaration)
            elif is_off(document.get((*path, *place))):
                off.append(place)
                sound &= not is_missed(document, (*path, *place), schema, place, self._findings)
            else:
                sound = False
        return with_parts(args, parts, off) if sound else None


def _place(document: Document, path: JsonPath) -> dict[str, Any]:
    origin = document.origin(path)
    line, _ = document.source.locate(origin)
    return {"file": document.file, "pointer": pointer_text(origin), "line": line}
