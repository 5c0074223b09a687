# SPDX-License-Identifier: Apache-2.0
"""Names for new work: of a folder, and of what is made of it when it is a plugin.

A plugin's name becomes that of a distribution, a package and a class, and installing it puts
them beside what is installed already: a name that is taken there would replace or hide it.
"""

from __future__ import annotations

import keyword
import re
import sys
from importlib import metadata
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from mmar_runner.errors import UsageError
from mmar_runner.hooks import load_plugins
from mmar_runner.interfaces.catalog import ComponentKind

if TYPE_CHECKING:
    from pathlib import Path

_NAME: Final = re.compile(r"[A-Za-z]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_SEPARATORS: Final = re.compile(r"[-_.]+")


def name_of(folder: Path) -> str:
    """Return a new folder's name, if it can be that of an MMAR or a plugin.

    Raises:
        UsageError: It cannot.
    """
    name = folder.name
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot be a name",
            hint="a name begins with a letter; letters, digits, '-', '_' and '.' may follow",
        )
    return name


def package_of(name: str) -> str:
    """Return the Python package of a plugin's name."""
    return _SEPARATORS.sub("_", name).lower()


def class_of(name: str) -> str:
    """Return the class, and the component, of a plugin's name."""
    return "".join(part[0].upper() + part[1:] for part in _SEPARATORS.split(name) if part)


def require_free(name: str, kind: str) -> None:
    """Refuse a plugin's name under which something else is installed here.

    Args:
        name: As `name_of` gives it.
        kind: What the plugin brings, a `ComponentKind`.

    Raises:
        UsageError: The name is taken.
    """
    package = package_of(name)
    if keyword.iskeyword(package):
        _refuse(f"{package!r} cannot be the name of a Python package")
    if package in sys.stdlib_module_names:
        _refuse(f"{package!r} is a module of Python's own, which would hide the plugin's")
    if _distributed(name):
        _refuse(f"a distribution {name!r} is installed, which this plugin would replace")
    if _importable(package):
        _refuse(f"a package {package!r} is installed, beside which there can be no other")
    found = load_plugins().registry
    if ComponentKind(kind) in found.kinds_of(class_of(name)):
        words = kind.replace("_", " ")
        _refuse(f"an installed plugin offers the {words} {class_of(name)!r}: two would be an error")


def _distributed(name: str) -> bool:
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _importable(package: str) -> bool:
    # A folder without Python files counts as a package, too, if it lies where one stands.
    spec = find_spec(package)
    return spec is not None and spec.origin is not None


def _refuse(message: str) -> None:
    raise UsageError(message, hint="choose another name, or uninstall the other")
