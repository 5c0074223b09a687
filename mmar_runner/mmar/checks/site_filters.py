# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a site's own filters, as far as it can be known before they are built."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mmar_runner.documents.schema_check import faults
from mmar_runner.documents.words import did_you_mean, pointer_text
from mmar_runner.errors import PluginConflictError
from mmar_runner.interfaces.catalog import ComponentKind
from mmar_runner.interfaces.nested import is_off, nested_places, value_at
from mmar_runner.mmar.components.absent import with_article
from mmar_runner.mmar.components.arguments import argument_sentence
from mmar_runner.security.policy.own_filters import FilterFault

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mmar_runner.documents.json_source import JsonPath
    from mmar_runner.documents.schema_check import Fault
    from mmar_runner.interfaces.catalog import ComponentCatalog, ComponentDescription
    from mmar_runner.mmar.sources.configuration import Side
    from mmar_runner.security.policy.site_policy import SitePolicy


def filter_faults(
    policy: SitePolicy, catalog: ComponentCatalog, side: Side
) -> tuple[FilterFault, ...]:
    """Return everything that keeps a site's own filters from what the site wants of them.

    Args:
        policy: The site's.
        catalog: What is there; a folder of further plugins does not count, since the
            filters run in a process that loads none.
        side: A server runs no filters.
    """
    if side == "server":
        return ()
    return tuple(
        fault
        for way, named in policy.mandatory_filters.items()
        for index, one in enumerate(named)
        for fault in _Look(catalog.installed, way).faults(ComponentKind.FILTER, one, (index,))
    )


class _Look:
    """A look at the filters of one direction."""

    def __init__(self, catalog: ComponentCatalog, way: str) -> None:
        self._catalog = catalog
        self._way = way

    def faults(
        self, kind: ComponentKind, declaration: Mapping[str, Any], path: JsonPath
    ) -> Iterator[FilterFault]:
        """Yield what is wrong with a declaration, and with those in its arguments."""
        name = str(declaration.get("path") or declaration.get("name"))
        try:
            found = self._catalog.find(kind, name)
        except PluginConflictError as error:
            message = f"{error.message[:1].upper()}{error.message[1:]}."
            yield FilterFault(self._way, path, error.reason, message, error.hint)
            return
        if found is None:
            yield self._absent(kind, name, path)
            return
        args = declaration.get("args", {})
        for fault in faults(found.args_schema, args):
            yield self._argument(found, fault, (*path, "args", *fault.path))
        for inner, its_kind in nested_places(found.args_schema, args):
            value = value_at(args, inner)
            if not is_off(value):
                yield from self.faults(its_kind, value, (*path, "args", *inner))

    def _argument(self, found: ComponentDescription, fault: Fault, path: JsonPath) -> FilterFault:
        pointer = pointer_text(("mandatory_filters", self._way, *path))
        mend = f"Correct {pointer} in the site's policy."
        hint = f"{fault.hint} {mend}" if fault.hint else mend
        message, reason = argument_sentence(found, fault), "COMPONENT_ARGUMENTS"
        return FilterFault(self._way, path, reason, message, hint, fault.at_key)

    def _absent(self, kind: ComponentKind, name: str, path: JsonPath) -> FilterFault:
        what = f"{self._way} filter" if len(path) == 1 else with_article(kind)
        lead = "its own" if len(path) == 1 else f"for its own {self._way} filter"
        message = f"The site has not installed {lead} {what} {name}."
        mend = "The site installs the plugin (--plugins-dir does not count), or corrects the name."
        near = did_you_mean(name, self._catalog.names(kind))
        hint = f"{near} {mend}" if near else mend
        return FilterFault(self._way, path, "COMPONENT_NOT_FOUND", message, hint)
