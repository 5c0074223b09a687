# SPDX-License-Identifier: Apache-2.0
"""What a bundle's configuration may call without leave: what is registered, and nothing else.

``_target_`` reaches whatever can be imported, so ``os.system`` with its argument needs no
expression at all. A short name is free if it is that of a class which the packages below
define, since MONAI looks it up among its own; a dotted one leads to a class of these packages, and
is a class path as any other. Everything else asks for the leave that expressions need.
"""

from __future__ import annotations

import builtins
from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.documents.words import did_you_mean, printable
from mmar_runner.interfaces.catalog import TRAINER_PARTS, ComponentCatalog
from mmar_runner.mmar.bundle.texts import Use, UseKind, uses
from mmar_runner.mmar.code.installed_names import absence, definition, holds, is_installed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


#: Among what lies below it MONAI looks up short names.
_OWN: Final = "monai."


class Standing(Enum):
    """What is known of a name that is to be called."""

    FREE = auto()
    CLASS_PATH = auto()
    UNKNOWN = auto()


@dataclass(frozen=True, slots=True)
class Configuration:
    """One configuration that a reader of bundles makes of files and overrides.

    Attributes:
        files: The argument that names its files, relative to the bundle.
        default: What that is if it is left out.
        overrides: The argument whose members replace parts of it.
        resolves: Ids of what is resolved in it.
        given: Names at its top level that the reader adds itself.
    """

    files: str
    default: tuple[str, ...]
    overrides: str
    resolves: tuple[str, ...]
    given: tuple[str, ...] = ()

    @classmethod
    def of(cls, stated: Mapping[str, Any]) -> Configuration:
        """Return what stands in a fact."""
        files, overrides = stated["files"], stated["overrides"]
        default, resolves = tuple(stated["default"]), tuple(stated["resolves"])
        return cls(files, default, overrides, resolves, tuple(stated.get("given", ())))


@dataclass(frozen=True, slots=True)
class BundleFact:
    """What a component that reads bundles states of itself, as its fact ``bundle``.

    Attributes:
        root: The argument that names the bundle's folder in the MMAR.
        overrides: Arguments whose members replace parts of the configuration.
        packages: Prefixes of class paths that a configuration may name.
        callables: Names of functions and further classes that it may name, short and dotted.
        refused: Names of classes in the packages that it may not name.
        configurations: What it makes of which files.
    """

    root: str
    overrides: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    callables: frozenset[str] = frozenset()
    refused: frozenset[str] = frozenset()
    configurations: tuple[Configuration, ...] = ()

    @classmethod
    def of(cls, extras: Mapping[str, Any]) -> BundleFact | None:
        """Return what a component's facts say of bundles; None if they say nothing."""
        stated = extras.get("bundle")
        if not stated:
            return None
        packages = tuple(stated.get("packages", ()))
        callables = frozenset(stated.get("callables", ()))
        refused = frozenset(stated.get("refused", ()))
        overrides = tuple(stated.get("overrides", ()))
        made = tuple(map(Configuration.of, stated.get("configurations", ())))
        return cls(stated["root"], overrides, packages, callables, refused, made)


def asking(value: Any, standing: Callable[[str], Standing]) -> Iterator[tuple[Use, Standing]]:
    """Yield what in a configuration is not free, and whether it is a mere class path.

    Args:
        value: The configuration.
        standing: What is known of a name.
    """
    for use in uses(value):
        found = standing(use.text) if use.kind is UseKind.TARGET else Standing.UNKNOWN
        if found is not Standing.FREE:
            yield use, found


def standing_in(catalog: ComponentCatalog, fact: BundleFact, name: str) -> Standing:
    """Return what is known of a name, from what is installed; nothing is imported."""
    if name in fact.callables:
        return Standing.FREE
    if name.rpartition(".")[2] in fact.refused:
        return Standing.UNKNOWN
    if "." not in name:
        free = _registered(catalog, fact, name) or is_own_class(fact, name)
        return Standing.FREE if free else Standing.UNKNOWN
    return known_class(fact, name)


def is_own_class(fact: BundleFact, name: str) -> bool:
    """Return True if MONAI's packages certainly define a class of a short name."""
    own = (package for package in fact.packages if package.startswith(_OWN))
    return any(known_class(fact, f"{package}{name}") is Standing.CLASS_PATH for package in own)


def no_such_target(
    catalog: ComponentCatalog, fact: BundleFact, name: str
) -> tuple[str, str | None] | None:
    """Return a sentence and a mend, or None, of a name to call that certainly nothing has.

    It is looked for in the sources of what is installed; nothing is imported.

    Args:
        catalog: What is installed.
        fact: What the bundle's reader states.
        name: The name, short or dotted.
    """
    if "." in name:
        lost = absence(name)
        if lost is None:
            return None
        module, last, there = lost
        message = f"The installed {printable(module)} has no '{printable(last)}'."
        return message, did_you_mean(last, there)
    package = _OWN.rstrip(".")
    # A name that merely stands in its sources may be one that it makes in another way.
    if not name or hasattr(builtins, name) or not is_installed(package) or holds(package, name):
        return None
    known = [[*catalog.names(kind), *catalog.tabled(kind)] for kind in TRAINER_PARTS]
    known.append([one for one in fact.callables if "." not in one])
    near = [one for names in known for one in get_close_matches(name, names)]
    return f"The installed {package} has no '{printable(name)}'.", did_you_mean(name, near)


def known_class(fact: BundleFact, name: str) -> Standing:
    """Return what is known of a dotted name, from the sources of what is installed."""
    if not name.startswith(fact.packages) or name.rpartition(".")[2] in fact.refused:
        return Standing.UNKNOWN
    # A dotted name may lead through a module to what that one imports: os.system, say.
    known = definition(name)
    return Standing.UNKNOWN if known is None or known == "function" else Standing.CLASS_PATH


def _registered(catalog: ComponentCatalog, fact: BundleFact, name: str) -> bool:
    for kind in TRAINER_PARTS:
        found = catalog.find(kind, name)
        if found is not None and found.target.replace(":", ".").startswith(fact.packages):
            return True
    return False


def older_arguments(
    catalog: ComponentCatalog, fact: BundleFact, name: str, arguments: Mapping[str, Any]
) -> Iterator[tuple[str, str, str]]:
    """Yield arguments that a class does not take any more: old name, present one, since when.

    Whoever reads a bundle calls its classes as they stand there, and nobody mends them on the way.

    Args:
        catalog: What is installed.
        fact: What the bundle's reader states.
        name: Of the class, short or dotted.
        arguments: As they stand beside it.
    """
    for kind in TRAINER_PARTS:
        found = catalog.at_target(kind, name) if "." in name else catalog.find(kind, name)
        if found is None or not found.target.replace(":", ".").startswith(fact.packages):
            continue
        if found.args_schema.get("additionalProperties", True):
            continue  # it takes any argument
        for rule in found.extras.get("upgrades", ()):
            for old, new in rule.get("rename", {}).items():
                if old in arguments:
                    yield old, new, str(rule.get("note", ""))
        return
