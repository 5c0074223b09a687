# SPDX-License-Identifier: Apache-2.0
"""Puts a mutant into a process: into functions that are there, or into a module to come."""

from __future__ import annotations

import functools
import gc
import importlib.abc
import importlib.machinery
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType

from tests.mutation.mutations import Mutant


def into_functions(mutant: Mutant) -> bool:
    """Give the module's functions the mutant's code; False if none of them is another then.

    Functions are found wherever they are: in classes, in wrappers, in closures.
    """
    path = str(mutant.path)
    before = compile(mutant.before, path, "exec")
    after = compile(mutant.put_in(), path, "exec")
    changed = {old: new for old, new in _pairs(before, after) if old != new}
    swapped = 0
    for thing in gc.get_objects():
        kind = type(thing)  # not `isinstance`, which asks some lazy things of torch who they are
        if kind is FunctionType and thing.__code__ in changed:
            if thing.__code__.co_filename != path:
                continue
            new = changed[thing.__code__]
            if new.co_freevars != thing.__code__.co_freevars:
                return False
            thing.__code__ = new
            swapped += 1
        elif kind is functools._lru_cache_wrapper:
            thing.cache_clear()
    return swapped > 0


def _pairs(old: CodeType, new: CodeType) -> Iterator[tuple[CodeType, CodeType]]:
    """Yield code objects that stand in the same place, from the outside to the inside."""
    yield old, new
    inner = [[c for c in code.co_consts if isinstance(c, CodeType)] for code in (old, new)]
    if len(inner[0]) == len(inner[1]):
        for pair in zip(*inner, strict=True):
            yield from _pairs(*pair)


class IntoModule(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Loads one module with its mutant's code; to be put in front of ``sys.meta_path``."""

    def __init__(self, mutant: Mutant, root: Path) -> None:
        parts = mutant.path.relative_to(root).with_suffix("").parts
        self._mutant = mutant
        self._name = ".".join(parts).removesuffix(".__init__")

    def put_in(self) -> None:
        """Let the next import of the module be the mutant's."""
        if self._name in sys.modules:
            raise RuntimeError(f"{self._name} has been imported already")
        sys.meta_path.insert(0, self)

    def find_spec(self, name, path=None, target=None):
        """Say that this loader has the module, if it is that one."""
        if name != self._name:
            return None
        where = str(self._mutant.path)
        package = self._mutant.path.name == "__init__.py"
        spec = importlib.machinery.ModuleSpec(name, self, origin=where, is_package=package)
        spec.has_location = True
        if package:
            spec.submodule_search_locations = [str(self._mutant.path.parent)]
        return spec

    def exec_module(self, module):
        """Run the mutant's code as the module's."""
        exec(compile(self._mutant.put_in(), str(self._mutant.path), "exec"), module.__dict__)  # noqa: S102 the whole point
