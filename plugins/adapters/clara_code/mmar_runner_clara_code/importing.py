# SPDX-License-Identifier: Apache-2.0
"""Lets older code import what it names, in this process, from ``mmar_runner_clara_code.api``.

Called by the adapters, in children alone: no server and no session ever imports this module.
A finder stands before all others and answers for the packages of `names.ROOTS`, and for no
other. It is taken away, with the modules that it made, by whoever put it there.
"""

from __future__ import annotations

import importlib
import logging
import sys
import threading
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from mmar_runner_clara_code.names import PROVIDED, ROOTS, TABLE

if TYPE_CHECKING:
    from collections.abc import Sequence

_log = logging.getLogger(__name__)
_API: Final = "mmar_runner_clara_code.api"
#: Modules that are there because others lie below them.
_PACKAGES: Final = frozenset(
    ".".join(parts[:count])
    for parts in (module.split(".") for module in TABLE)
    for count in range(1, len(parts))
)


class OlderNames(MetaPathFinder, Loader):
    """Finds and makes the modules that older code asks for."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Answer for the older packages.

        Raises:
            ModuleNotFoundError: It is a module of theirs that is not provided.
        """
        del path, target
        if fullname.partition(".")[0] not in ROOTS:
            return None
        if fullname in TABLE or fullname in _PACKAGES:
            return ModuleSpec(fullname, self, is_package=fullname in _PACKAGES)
        known = ", ".join(sorted(TABLE))
        msg = f"mmar_runner_clara_code provides no module {fullname!r}; it provides: {known}"
        raise ModuleNotFoundError(msg, name=fullname)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Make an empty module that says what it has."""
        return _OlderModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Fill it."""
        for name, source in TABLE.get(module.__name__, {}).items():
            made = importlib.import_module(f"{_API}.{source}")
            vars(module)[name] = getattr(made, name)


class _OlderModule(ModuleType):
    """A module that names what it has where it is asked for something else."""

    def __getattr__(self, name: str) -> Any:
        own = self.__name__
        below = f"{own}.{name}"
        if name.startswith("__") or below in TABLE or below in _PACKAGES:
            raise AttributeError(name)  # a module below this one is imported then
        known = ", ".join(PROVIDED.get(own, ())) or "nothing but modules"
        msg = f"mmar_runner_clara_code provides no {name!r} in {own!r}; there is: {known}"
        raise ImportError(msg, name=own)


_FINDER: Final = OlderNames()
_lock = threading.Lock()
_users = 0


def let_import() -> None:
    """Let the code of this process import older names, until `forbid_import` is called as often.

    A package of that name that is really installed here is not what the code gets.
    """
    global _users  # noqa: PLW0603 - there is one import system in a process
    with _lock:
        _users += 1
        if _users > 1:
            return
        for root in ROOTS:
            if PathFinder.find_spec(root) is not None:
                _log.warning("%s is installed here; older code is given this plugin's", root)
        _forget()
        sys.meta_path.insert(0, _FINDER)


def forbid_import() -> None:
    """Take back one `let_import`; with the last one, older names are gone from this process."""
    global _users  # noqa: PLW0603 - as above
    with _lock:
        _users -= 1
        if not _users:
            sys.meta_path.remove(_FINDER)
            _forget()


def _forget() -> None:
    """Forget modules of the older packages, whoever made them: they are found anew."""
    for name in [n for n in sys.modules if n.partition(".")[0] in ROOTS]:
        del sys.modules[name]
