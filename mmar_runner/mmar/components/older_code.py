# SPDX-License-Identifier: Apache-2.0
"""Classes in ``custom/`` that are written to older interfaces: which adapter runs them.

An adapter's plugin states in the fact ``adapts`` what it is for: ``modules``, prefixes of the
modules that such code imports; ``bases``, the names of the classes there; ``methods``, what a
class has that derives from none of them; and ``provides``, the names that can be imported, by
module; ``arguments``, what each of the methods is given, and ``constants``, the names that
classes of constants have, by class. The declaration of such a class becomes, in memory, that of
the adapter with the class as its argument ``code``. Nothing is imported: the source is read as
text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from mmar_runner.errors import PluginConflictError
from mmar_runner.interfaces.catalog import ComponentKind
from mmar_runner.mmar.components.bundled import bundled_hint

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mmar_runner.interfaces.catalog import ComponentCatalog, ComponentDescription
    from mmar_runner.mmar.code.heritage import Heritage

#: The argument of an adapter that declares the class.
CODE: Final = "code"
#: Kinds that older code was written for, and that can be adapted.
KINDS: Final = (ComponentKind.AGGREGATOR, ComponentKind.FILTER, ComponentKind.CLIENT_TRAINER)
#: Packages of the older programs.
_OLDER: Final = ("medl", "nvflare")
#: Packages of their first generation, which was written for TensorFlow.
_FIRST: Final = ("ai4med", "dlmed", "fed_learn", "nvmidl")
_OURS: Final = ("mmar_runner",)
#: What runs them, and who brings it.
_ADAPTERS: Final = {
    ComponentKind.AGGREGATOR: "ClaraCodeAggregator",
    ComponentKind.FILTER: "ClaraCodeFilter",
    ComponentKind.CLIENT_TRAINER: "ClaraCodeTrainer",
}
_INSTALL: Final = "Install mmar-runner-clara-code."
_BASES: Final = frozenset({"Aggregator", "Filter", "Trainer"})
#: Bases, and methods in place of a base, of the first generation.
_FIRST_BASES: Final = frozenset({"DataProcessor", "PrivacyProtocol"})
_FIRST_METHODS: Final = {ComponentKind.AGGREGATOR: "process", ComponentKind.FILTER: "apply"}


class Unadapted(NamedTuple):
    """A class that nothing here runs: code, message and hint of the finding."""

    code: str
    message: str
    hint: str


def adapter_of(
    catalog: ComponentCatalog, kind: ComponentKind, found: Heritage
) -> ComponentDescription | None:
    """Return what runs a class of older code, or None if nothing does, or it is none.

    Args:
        catalog: What is installed.
        kind: What the class is declared as.
        found: What it comes from.
    """
    if found.derives_from(_OURS) or _is_of_first_generation(kind, found):
        return None
    for description in _adapters(catalog, kind):
        if _is_for(description.extras["adapts"], found):
            return description
    return None


def lacking(adapter: ComponentDescription, found: Heritage) -> list[str]:
    """Return the methods that a class must have for its adapter and has not, sorted.

    Where it has a base that nobody here knows, nothing is said to lack.
    """
    adapts = adapter.extras["adapts"]
    if any(name not in adapts["bases"] for _, name in found.bases):
        return []
    return sorted(set(adapts["methods"]) - found.methods)


def misfits(adapter: ComponentDescription, found: Heritage) -> Iterator[tuple[str, int, str, str]]:
    """Yield methods that cannot be called as their adapter does: file, line, message and mend.

    The file is relative to ``custom/``.
    """
    for method, given in adapter.extras["adapts"].get("arguments", {}).items():
        file, signature = found.signatures.get(method, ("", None))
        if signature is None or signature.takes(len(given)):
            continue
        told = ", ".join(given)
        message = (
            f"'{method}({signature.written})' is called with {len(given)} besides self: {told}."
        )
        yield file, signature.line, message, f"Write def {method}(self, {told})."


def constants(catalog: ComponentCatalog) -> Mapping[str, tuple[str, ...]]:
    """Return what the adapters' classes of constants have: names by class."""
    return {
        name: tuple(names)
        for kind in KINDS
        for description in _adapters(catalog, kind)
        for name, names in description.extras["adapts"].get("constants", {}).items()
    }


def unadapted(kind: ComponentKind, found: Heritage) -> Unadapted | None:
    """Return why a class of older code cannot run here; None if it is none.

    Args:
        kind: What it is declared as.
        found: What it comes from; no adapter is for it.
    """
    if found.derives_from(_OURS) or kind not in KINDS:
        return None
    if _is_of_first_generation(kind, found):
        message = "The class is written for the TensorFlow generation (3.1), and is not run."
        return Unadapted("MMAR532", message, _INSTEAD[kind])
    bases = sorted(
        f"{module}.{name}"
        for module, name in found.bases
        if module.partition(".")[0] in _OLDER and name in _BASES
    )
    if not bases:
        return None
    message = f"The class is written to {bases[0]}, and nothing that is installed adapts it."
    return Unadapted("MMAR531", message, bundled_hint(kind, _ADAPTERS[kind]) or _INSTALL)


_INSTEAD: Final = {
    ComponentKind.AGGREGATOR: "Use FedAvg, or write an aggregator with accept and aggregate.",
    ComponentKind.FILTER: "Use a filter of mmar-runner-privacy, or write one with process.",
    ComponentKind.CLIENT_TRAINER: "Use the client_trainer of an installed plugin.",
}


def provided(catalog: ComponentCatalog) -> Mapping[str, tuple[str, ...]]:
    """Return what the installed adapters let older code import: names by module."""
    return {
        module: tuple(names)
        for kind in KINDS
        for description in _adapters(catalog, kind)
        for module, names in description.extras["adapts"].get("provides", {}).items()
    }


def _adapters(catalog: ComponentCatalog, kind: ComponentKind) -> Iterator[ComponentDescription]:
    for name in catalog.names(kind):
        try:
            found = catalog.find(kind, name)
        except PluginConflictError:
            continue  # which is said to whoever names it
        if found is not None and "adapts" in found.extras:
            yield found


def _is_for(adapts: Mapping[str, Any], found: Heritage) -> bool:
    prefixes = tuple(adapts["modules"])
    named = any(
        f"{module}.".startswith(prefixes) and name in adapts["bases"]
        for module, name in found.bases
    )
    tops = {prefix.partition(".")[0] for prefix in prefixes}
    return named or bool(tops & found.packages and set(adapts["methods"]) <= found.methods)


def _is_of_first_generation(kind: ComponentKind, found: Heritage) -> bool:
    older = found.packages & {*_FIRST, *_OLDER}
    if not older:
        return False
    if found.derives_from(_FIRST) or any(name in _FIRST_BASES for _, name in found.bases):
        return True
    return (
        _FIRST_METHODS.get(kind) in found.methods
        and "accept" not in found.methods
        and (kind is not ComponentKind.FILTER or "process" not in found.methods)
    )
