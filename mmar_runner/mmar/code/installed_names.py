# SPDX-License-Identifier: Apache-2.0
"""What an installed package defines, read from its source; nothing of it is imported.

It answers only what it knows for certain: a module that is compiled, that makes its names
while it is imported, or that takes them from such a one, is believed to have every name.
"""

from __future__ import annotations

import importlib.util
import pkgutil
from dataclasses import replace
from functools import cache
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from mmar_runner.mmar.code.module_source import ClassSource, ModuleSource

#: Modules that take all names of one another, counted from the first.
_DEEPEST: Final = 6
#: Beyond it a dotted name is none: no module that anybody wrote is called by so many letters,
#: and no system has a path that is so long.
LETTERS: Final = 250
#: Beyond it a dotted name has too many parts to be one.
PARTS: Final = 20


def is_name(dotted: str) -> bool:
    """Return True if a dotted name is short enough to be one; no other leads anywhere."""
    return len(dotted) <= LETTERS and dotted.count(".") < PARTS


def lacks(dotted: str) -> bool:
    """Return True if a dotted class path certainly leads to nothing that is installed.

    Packages that are not installed at all lack nothing: whoever declares them knows better. So
    does a module that is compiled.
    """
    return absence(dotted) is not None


def absence(dotted: str) -> tuple[str, str, list[str]] | None:
    """Return where a dotted class path certainly ends too early; None if it may lead somewhere.

    Returns:
        The last module on its way, the name that this one lacks, and the names that it has.
    """
    module, _, name = dotted.rpartition(".")
    if not is_name(dotted):
        return module, name, []
    parts = module.split(".")
    for end in range(1, len(parts)):
        parent = ".".join(parts[:end])
        if _lacks_module(parent, parts[end]):
            return parent, parts[end], _modules_in(parent)
    known = _names(module, 0)
    if known is None or name in known or is_module(dotted):
        return None
    return module, name, names_in(module)


def _lacks_module(parent: str, name: str) -> bool:
    """Return True if an installed package certainly has no module, nor anything else, of a name."""
    folder = _folder(parent)
    if folder is None or not _is_there(folder / "__init__.py"):
        return False
    if not name.isidentifier():
        return True
    if is_module(f"{parent}.{name}") or any(folder.glob(f"{name}.*")):  # that may be compiled
        return False
    known = _names(parent, 0)
    return known is not None and name not in known


def _modules_in(package: str) -> list[str]:
    """Return the names of an installed package's public modules, sorted."""
    folder = _folder(package)
    found = [] if folder is None else pkgutil.iter_modules([str(folder)])
    return sorted(one.name for one in found if not one.name.startswith("_"))


def is_installed(package: str) -> bool:
    """Return True if a package or module of the top level is installed."""
    try:
        return is_name(package) and importlib.util.find_spec(package) is not None
    except (ImportError, OSError, ValueError):
        return True  # it is there, whatever is wrong with it


def names_in(module: str) -> list[str]:
    """Return the public names of an installed module, sorted, as far as they are known."""
    return sorted(name for name in _names(module, 0) or () if not name.startswith("_"))


def holds(package: str, word: str) -> bool:
    """Return True unless no Python file of an installed package has a word anywhere in it.

    What has no Python file at all is believed to have every word.
    """
    text = _text(package)
    return text is None or (word.isidentifier() and word.encode() in text)


@cache
def _text(package: str) -> bytes | None:
    """Return all Python of an installed package; None if it has none, or it cannot be read."""
    folder = _folder(package)
    if folder is None:
        return None
    try:
        return b"\n".join(file.read_bytes() for file in folder.rglob("*.py"))
    except OSError:
        return None


def definition(dotted: str) -> ClassSource | Literal["function"] | None:
    """Return what the source says of an installed class; None if that is not known."""
    module, _, name = dotted.rpartition(".")
    return _defined(module, name, 0)


@cache
def _defined(module: str, name: str, depth: int) -> ClassSource | Literal["function"] | None:
    source = _source(module)
    if source is None or depth > _DEEPEST:
        return None
    if name in source.classes:
        return _with_constructor(module, source.classes[name], depth)
    if name in source.functions:
        return "function"
    if name in source.origins:
        other, there = source.origins[name]
        return _defined(_absolute(other, module), there, depth + 1)
    if name in source.names:
        return None  # made in another way
    found = (_defined(_absolute(other, module), name, depth + 1) for other in source.all_of)
    return next((one for one in found if one is not None), None)


def _with_constructor(module: str, found: ClassSource, depth: int) -> ClassSource:
    """Return a class with the constructor that it inherits, if it has none and one is known."""
    if found.required is not None or len(found.bases) != 1:
        return found
    base = _defined(module, found.bases[0], depth + 1)
    if base is None or base == "function":
        return found
    return replace(found, required=base.required, accepted=base.accepted)


@cache
def _names(module: str, depth: int) -> frozenset[str] | None:
    """Return every name that a module has, or None if that cannot be told."""
    source = _source(module)
    if source is None or source.makes_names or depth > _DEEPEST:
        return None
    names = set(source.names)
    for other in source.all_of:
        inner = _names(_absolute(other, module), depth + 1)
        if inner is None:
            return None
        names |= inner
    return frozenset(names)


@cache
def _source(module: str) -> ModuleSource | None:
    file = _file(module)
    if file is None:
        return None
    from mmar_runner.mmar.code.module_source import parse_module  # noqa: PLC0415 - few MMARs need it

    try:
        return parse_module(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return None


def _file(module: str) -> Path | None:
    base = _folder(module)
    if base is None:
        return None
    inside, beside = base / "__init__.py", base.with_suffix(".py")
    return next((file for file in (inside, beside) if _is_there(file)), None)


def _folder(module: str) -> Path | None:
    """Return where a module lies, if it is a package; its file has the suffix .py otherwise."""
    if not is_name(module) or "" in module.split("."):
        return None
    top, *rest = module.split(".")
    try:
        spec = importlib.util.find_spec(top)  # of a top level nothing is imported
    except (ImportError, OSError, ValueError):
        return None
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations))).joinpath(*rest)


def _absolute(name: str, module: str) -> str:
    """Return the full name of a module that another one names, relative with leading dots."""
    plain = name.lstrip(".")
    dots = len(name) - len(plain)
    if not dots:
        return name
    folder = _folder(module)
    is_package = folder is not None and _is_there(folder / "__init__.py")
    parts = module.split(".")
    kept = len(parts) - dots + (1 if is_package else 0)
    return ".".join([*parts[:kept], *filter(None, [plain])])


def is_module(dotted: str) -> bool:
    """Return True if a dotted name is that of an installed module or package."""
    base = _folder(dotted)
    if base is None:
        return False
    return _is_there(base, S_ISDIR) or _is_there(base.with_suffix(".py"))


def _is_there(path: Path, sort: Callable[[int], bool] = S_ISREG) -> bool:
    """Return True if there is a file, or what else is meant; a path too long leads nowhere."""
    try:
        return sort(path.stat().st_mode)
    except (OSError, ValueError):
        return False
