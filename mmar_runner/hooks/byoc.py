# SPDX-License-Identifier: Apache-2.0
"""Code that an MMAR brings in ``custom/``, loaded under a private package name.

Called in child processes only: the server and the client session never import such
code, and whether it may run at all was decided before the child was started.

Archives of older systems expect ``custom/`` on the path, where one file imports
another by its bare name (``from nets import UNet``). Here such an import is answered
from ``custom/`` for the files of ``custom/`` alone; the rest of the process sees no
difference.
"""

from __future__ import annotations

import builtins
import importlib
import sys
from collections.abc import Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

from mmar_runner.errors import ComponentBuildError
from mmar_runner.hooks.private_package import private_package


def load_custom(custom_dir: Path, path: str) -> Any:
    """Import ``module.Class`` from a ``custom/`` folder and return the attribute.

    Raises:
        ComponentBuildError: There is no such module or attribute, or importing it fails.
    """
    module_name, dot, attribute = path.rpartition(".")
    if not dot or not has_module(custom_dir, module_name):
        raise ComponentBuildError(
            f"custom/ has no module {module_name or path!r} for {path!r}",
            hint="write 'module.Class', where custom/module.py exists",
        )
    package = _custom_package(custom_dir)
    # What is run must not change the folder: its digest tells whether a run can be resumed.
    sys.dont_write_bytecode = True
    try:
        module = importlib.import_module(f"{package}.{module_name}")
    except Exception as error:
        message = f"custom/ code {path!r} cannot be imported: {type(error).__name__}: {error}"
        raise ComponentBuildError(message) from error
    if not hasattr(module, attribute):
        message = f"custom/ module {module_name!r} has no {attribute!r}"
        raise ComponentBuildError(message, hint="check the spelling of the class")
    return getattr(module, attribute)


def has_module(custom_dir: Path, name: str) -> bool:
    """Return True if ``custom/`` holds the dotted module ``name`` (nothing is imported)."""
    parts = name.split(".")
    if not all(part.isidentifier() for part in parts):
        return False
    base = custom_dir.joinpath(*parts)
    return base.with_suffix(".py").is_file() or (base / "__init__.py").is_file()


def _custom_package(custom_dir: Path) -> str:
    name = private_package("custom", custom_dir)
    if not any(isinstance(f, _CustomFinder) and f.package == name for f in sys.meta_path):
        sys.meta_path.insert(0, _CustomFinder(name, custom_dir.resolve()))
    return name


class _CustomFinder(MetaPathFinder):
    """Gives the modules of one private package, and no others, the loader below."""

    def __init__(self, package: str, folder: Path) -> None:
        self.package = package
        self.folder = folder

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith(f"{self.package}."):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _CustomLoader(fullname, spec.loader.path, self)
        return spec


class _CustomLoader(SourceFileLoader):
    """Runs a module whose bare imports are looked up beside it first."""

    def __init__(self, fullname: str, path: str, finder: _CustomFinder) -> None:
        super().__init__(fullname, path)
        self._finder = finder

    def exec_module(self, module: ModuleType) -> None:
        own = {**vars(builtins), "__import__": self._import}
        vars(module)["__builtins__"] = own
        super().exec_module(module)

    def _import(
        self,
        name: str,
        globals: Mapping[str, object] | None = None,  # noqa: A002 - the signature of __import__
        locals: Mapping[str, object] | None = None,  # noqa: A002
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> Any:
        package, top = self._finder.package, name.partition(".")[0]
        if level or not has_module(self._finder.folder, top):
            return builtins.__import__(name, globals, locals, fromlist or (), level)
        module = builtins.__import__(f"{package}.{name}", globals, locals, fromlist or (), 0)
        return module if fromlist else getattr(module, top)
