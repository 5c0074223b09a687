# SPDX-License-Identifier: Apache-2.0
"""What a class in ``custom/`` comes from, followed from file to file and never imported."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mmar_runner.mmar.code.module_source import ModuleSource, Signature
    from mmar_runner.mmar.code.own_sources import OwnSources

#: Bases of bases that are followed.
_DEPTH: Final = 16


@dataclass(slots=True)
class Heritage:
    """What a class comes from.

    Attributes:
        bases: Classes of installed packages, its own and those of its bases in ``custom/``:
            the module and the name there.
        methods: Names that its body and those of such bases define.
        packages: Top packages that the modules of these classes import.
        signatures: Of these methods, with the file that defines each.
    """

    bases: set[tuple[str, str]]
    methods: set[str]
    packages: set[str]
    signatures: dict[str, tuple[str, Signature]] = field(default_factory=dict)

    def derives_from(self, packages: tuple[str, ...]) -> bool:
        """Return whether a base lies in one of some packages."""
        return any(module.partition(".")[0] in packages for module, _ in self.bases)


def heritage(sources: OwnSources, file: str, name: str) -> Heritage:
    """Return what a class comes from; what cannot be followed is left out.

    Args:
        sources: The MMAR's modules.
        file: The class's, relative to ``custom/``.
        name: The class.
    """
    found = Heritage(set(), set(), set())
    _follow(sources, file, name, found, _DEPTH)
    return found


def _follow(sources: OwnSources, file: str, name: str, found: Heritage, depth: int) -> None:
    module = sources.get(file)
    if module is None or not depth:
        return
    found.packages.update(_imported(module))
    own = module.classes.get(name)
    if own is None:
        if name in module.origins:  # it is only passed on here
            _base(sources, file, name, found, depth)
        return
    for method, signature in own.signatures.items():
        if method not in found.methods:  # else one that comes before defines it
            found.signatures[method] = (file, signature)
    found.methods.update(own.methods)
    for base in own.bases:
        _base(sources, file, base, found, depth)


def _base(sources: OwnSources, file: str, base: str, found: Heritage, depth: int) -> None:
    """Follow a base as it is written in a file."""
    module = sources.get(file)
    head, _, rest = base.partition(".")
    if module is None:
        return
    if not rest and head in module.classes:
        _follow(sources, file, head, found, depth - 1)
        return
    if head in module.origins:
        origin, there = module.origins[head]
        dotted = ".".join(filter(None, (there, rest)))
        place, _, last = f"{origin}.{dotted}".rpartition(".")
    else:
        place, _, last = base.rpartition(".")
    other = sources.file(sources.slashed(file, place))
    if other is not None:
        _follow(sources, other, last, found, depth - 1)
    elif place and not place.startswith("."):
        found.bases.add((place, last))


def _imported(module: ModuleSource) -> set[str]:
    froms = (origin for origin, _ in module.origins.values() if not origin.startswith("."))
    return {*module.imports, *(origin.partition(".")[0] for origin in froms)}
