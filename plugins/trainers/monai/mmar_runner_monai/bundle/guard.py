# SPDX-License-Identifier: Apache-2.0
"""A guard around MONAI's reader of configurations, in a process where expressions are refused.

What a bundle's files ask for was looked at as text before; this is the second wall. The reader
composes ids, overrides and references while it runs, and what it evaluates or calls in the end
is known only there. So the places through which it does anything are taken: where an
expression is evaluated, where something is called or looked up by its path, where a further
file is read, and where a file of data could hold an object that runs code.
"""

from __future__ import annotations

import hashlib
import inspect
import pydoc
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NoReturn

from mmar_runner.errors import ComponentBuildError, NotAuthorizedError
from mmar_runner.mmar.bundle.reading import SUFFIXES
from mmar_runner_monai.bundle.callables import (
    CALLABLES,
    HANDED,
    PACKAGES,
    PLACES,
    READING,
    REFUSED,
)
from mmar_runner_monai.folders import (
    Place,
    close_layouts,
    inside_workspace,
    require_plain_label,
)
from mmar_runner_monai.harmless import refused_in
from mmar_runner_monai.walls import WALLS, close_process

REASON: Final = "EXPRESSIONS_NOT_ALLOWED"
HINT: Final = (
    "write the configuration without expressions; or the site allows them: `expressions` of its "
    "policy with a kit, --allow-byoc on loopback"
)
_MODES: Final = frozenset({"default", "callable"})
#: Arguments by which networks and data sets fetch something if they are left out, by their default.
_FETCHING: Final = ("download", "pretrained")
#: Arguments that name metrics by their keys.
_METRICS: Final = ("key_val_metric", "key_train_metric", "key_metric", "additional_metrics")
_SHOWN: Final = 120


def refuse(what: str, text: object) -> NoReturn:
    """Refuse what a bundle asks for.

    Raises:
        NotAuthorizedError: EXPRESSIONS_NOT_ALLOWED, always.
    """
    shown = ascii(str(text)[:_SHOWN])
    message = f"the site does not let a bundle {what}: {shown}"
    raise NotAuthorizedError(message, hint=HINT, reason=REASON)


class Guard:
    """Lets MONAI's reader do only what needs no leave.

    Attributes:
        files: The configurations that may be read, with the sha256 of each as it was judged.
        own: Folders of code that was accepted, whose classes and functions may be called.
        place: Where what is called may write.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self.files: dict[Path, bytes] = {}
        self.own: set[Path] = set()
        self._instantiate: Any = None
        self._load: Any = None

    def install(self) -> None:
        """Take the places.

        Raises:
            ComponentBuildError: This MONAI has another reader: nothing would be guarded.
        """
        config_item: Any = import_module("monai.bundle.config_item")
        config_parser: Any = import_module("monai.bundle.config_parser")
        try:
            expression, parser = config_item.ConfigExpression, config_parser.ConfigParser
            self._instantiate = config_item.instantiate
            self._load = parser.__dict__["load_config_file"].__func__
            _ = expression.__dict__["evaluate"], expression.__dict__["_parse_import_string"]
        except (AttributeError, KeyError) as error:
            msg = f"the installed MONAI reads bundles in a way that is not known here: {error}"
            raise ComponentBuildError(msg, hint="install another version of monai") from error
        expression.evaluate = _evaluate
        expression._parse_import_string = _evaluate  # noqa: SLF001 - it imports by itself
        config_item.instantiate = self._called
        parser.load_config_file = classmethod(self._read)
        _take_lookups()

    def _called(self, path: Any, mode: Any, /, **arguments: Any) -> Any:
        if str(mode) not in _MODES or arguments.get("_debug_"):
            refuse("call something in the mode", mode)
        component = self._located(path) if isinstance(path, str) else path
        if not self._is_own(component):
            name = path if isinstance(path, str) else _place(path)
            if not _free(component):
                refuse("call", name)
            if str(mode) == "callable" and not _may_be_handed_on(component):
                refuse("hand on for others to call", name)
            by_default = (n for n in _FETCHING if n not in arguments and _default(component, n))
            for one in (*refused_in(_with_texts(arguments)), *by_default):
                refuse(
                    "fetch, compile or look up anything; it would by the argument",
                    f"{one} of {path}",
                )
            arguments.update(inside_workspace(name, arguments, self.place))
            for label in _labels(arguments):
                require_plain_label(f"a metric of {name}", label)
        return self._instantiate(component, mode, **arguments)

    def _located(self, path: str) -> Any:
        top = path.partition(".")[0]
        if any((own / top).is_dir() or (own / f"{top}.py").is_file() for own in self.own):
            return pydoc.locate(path)
        return _located(path)

    def _is_own(self, component: Any) -> bool:
        module = sys.modules.get(str(getattr(component, "__module__", "")))
        file = getattr(module, "__file__", None)
        return file is not None and any(Path(file).is_relative_to(own) for own in self.own)

    def _read(self, parser: Any, /, filepath: Any, **options: Any) -> Any:
        file = Path(str(filepath)).resolve()
        known = self.files.get(file)
        if known is None or known != _digest(file):
            refuse("read a file that is not as it was looked at before", filepath)
        return self._load(parser, file, **options)

    def accept(self, folder: Path) -> None:
        """Let the configurations be read that lie below a folder now, as they are.

        Whatever a part of the bundle writes there later was looked at by nobody.
        """
        for file in sorted(folder.resolve().rglob("*")):
            if file.name.lower().endswith(SUFFIXES) and file.is_file() and not file.is_symlink():
                self.files[file] = _digest(file)


def _digest(file: Path) -> bytes:
    return hashlib.sha256(file.read_bytes()).digest()


def _labels(arguments: dict[str, Any]) -> Iterator[str]:
    """Yield what metrics are called, which becomes a part of files' names."""
    for argument in _METRICS:
        if isinstance(named := arguments.get(argument), dict):
            yield from map(str, named)


def _may_be_handed_on(component: Any) -> bool:
    """Return whether something may be called later, with arguments that nobody looks at."""
    place = _place(component)
    if isinstance(component, type):
        return place.startswith(HANDED)
    return place in PLACES and place not in READING


def _evaluate(self: Any, *_: Any, **__: Any) -> NoReturn:
    refuse("evaluate", self.get_config())


def _located(path: str) -> Any:
    """Return what a dotted path leads to; whatever is elsewhere is not even imported.

    Raises:
        NotAuthorizedError: EXPRESSIONS_NOT_ALLOWED, it leads elsewhere.
    """
    if not path.startswith(PACKAGES) and path not in CALLABLES:
        refuse("call", path)
    found = pydoc.locate(path)
    if found is None:
        msg = f"there is no {path[:_SHOWN]!a} in what is installed"
        raise ComponentBuildError(msg, hint="correct the _target_ in the bundle's configuration")
    return found


def _looked_up(path: str, *_: Any, **__: Any) -> Any:
    """Stand in for `pydoc.locate` where MONAI takes an argument for a path."""
    found = _located(path) if "." in path else None
    if found is not None and not _free(found):
        refuse("call", path)
    return found


def _default(component: Any, name: str) -> bool:
    """Return whether an argument that is left out is true."""
    try:
        parameter = inspect.signature(component).parameters.get(name)
    except (TypeError, ValueError):
        return False
    return parameter is not None and parameter.default is True


def _free(component: Any) -> bool:
    place = _place(component)
    if place in PLACES:
        return True
    module = sys.modules.get(str(getattr(component, "__module__", "")))
    # A class says itself where it is defined; only that place is asked, not the way to it.
    name = str(getattr(component, "__qualname__", ""))
    defined = isinstance(component, type) and getattr(module, name, None) is component
    return defined and name not in REFUSED and place.startswith(PACKAGES)


def _place(component: Any) -> str:
    module = getattr(component, "__module__", type(component).__module__)
    return f"{module}.{getattr(component, '__qualname__', type(component).__qualname__)}"


def _take_lookups() -> None:
    for name, module in list(sys.modules.items()):
        if name.startswith("monai.") and getattr(module, "locate", None) is pydoc.locate:
            module.locate = _looked_up  # type: ignore[attr-defined]


def _with_texts(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return arguments without objects that a configuration has built, such as a reader."""
    plain = (str, bool, int, float, list, dict, type(None))
    return {name: value for name, value in arguments.items() if isinstance(value, plain)}


#: One a process: it stands around modules that everything in it shares.
_GUARDS: Final[list[Guard]] = []


def guard(folder: Path, own: Path | None, place: Place | None = None) -> None:
    """Guard MONAI's reader from now on; bundles in a folder may be read.

    Args:
        folder: The folder.
        place: Where what they call may write; by default in that folder.
        own: A folder of code that was accepted; None if there is none. Then files of data hold
            no objects either.

    Raises:
        ComponentBuildError: This MONAI has another reader.
    """
    close_process(own, configurations=True)
    if not _GUARDS:
        made = Guard(place or Place(folder))
        made.install()
        close_layouts()
        if own is None:
            WALLS.load_only_data()
        _GUARDS.append(made)
    _GUARDS[0].accept(folder)
    if own is not None:
        _GUARDS[0].own.add(own.resolve())
