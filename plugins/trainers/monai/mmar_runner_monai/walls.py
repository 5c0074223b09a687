# SPDX-License-Identifier: Apache-2.0
"""Walls around what MONAI and PyTorch could do beyond working on data, in a child's process.

A class is built with arguments that a stranger wrote. Whatever a list of classes and arguments
overlooks ends at these walls: what fetches something, loads code, compiles, looks a path up or
evaluates a configuration is replaced by a function that refuses, wherever it is known by name.
Code of the MMAR's own, which the site accepted, may still call it.
"""

from __future__ import annotations

import pydoc
import sys
from collections.abc import Callable
from functools import wraps
from importlib import import_module
from inspect import isfunction
from pathlib import Path
from typing import Any, Final, NoReturn

from mmar_runner.errors import NotAuthorizedError

#: What is refused, by the module that defines it.
_REFUSED: Final = (
    ("torch", ("compile",)),
    ("torch.hub", ("load", "list", "help", "load_state_dict_from_url", "download_url_to_file")),
    ("monai._extensions.loader", ("load_module",)),
    ("monai.apps.utils", ("download_url", "download_and_extract", "extractall")),
    ("monai.apps.mmars.mmars", ("download_mmar", "load_from_mmar")),
    ("monai.bundle.scripts", ("download", "download_large_files", "load", "run")),
    ("monai.networks.nets.resnet", ("hf_hub_download",)),
    ("monai.networks.nets.transchex", ("cached_file", "load_tf_weights_in_bert")),
    ("monai.utils.misc", ("run_cmd",)),
)
#: Packages whose modules may know such a function by a name of their own.
_KNOWING: Final = ("monai", "torch", "torchvision", "ignite")
#: Modules that look up a text among the names of a package, and what must come out.
_LOOKUPS: Final = (
    "monai.transforms.io.array",
    "monai.inferers.inferer",
    "monai.networks.nets.flexible_unet",
)
_FOUND: Final = (
    ("monai.data.image_reader", "ImageReader"),
    ("monai.data.image_writer", "ImageWriter"),
    ("monai.networks.blocks.encoder", "BaseEncoder"),
    ("monai.inferers.merger", "Merger"),
)
_ITEM: Final = "monai.bundle.config_item"
_SHOWN: Final = 120


class Walls:
    """What stands in this process.

    Attributes:
        own: Folders of code that was accepted.
    """

    def __init__(self) -> None:
        self.own: set[Path] = set()
        self._stands = False
        self._configurations: tuple[Any, ...] | None = None
        self._loading = False

    def build(self) -> None:
        """Build them, once."""
        if self._stands:
            return
        import_module("monai.bundle")
        replaced = dict(self._refusing(module, names) for module, names in _each())
        _replace(replaced)
        for name in _LOOKUPS:
            module: Any = import_module(name)
            module.optional_import = _among(module.optional_import)
        close_lookups()
        self._stands = True

    def refuse_configurations(self) -> None:
        """Have no configuration of a bundle evaluated or called at all."""
        item: Any = import_module(_ITEM)
        if self._configurations is not None:
            return
        before = item.ConfigExpression.evaluate, item.instantiate
        self._configurations = before
        item.ConfigExpression.evaluate = _refusal("evaluate a configuration's expression")
        item.instantiate = _refusal("call what a configuration names")

    def allow_configurations(self) -> None:
        """Let bundles be read again: somebody else guards them, or the site allows it."""
        if self._configurations is not None:
            item: Any = import_module(_ITEM)
            item.ConfigExpression.evaluate, item.instantiate = self._configurations
            self._configurations = None

    def load_only_data(self) -> None:
        """Have files of data read as data: a pickle runs code when it is loaded."""
        if self._loading:
            return
        self._loading = True
        for library, fixed in (
            ("numpy", {"allow_pickle": False}),
            ("torch", {"weights_only": True}),
        ):
            module: Any = import_module(library)
            module.load = _with(module.load, **fixed)

    def _refusing(self, module: str, name: str) -> tuple[Any, Any]:
        original: Any = getattr(import_module(module), name)
        refusal = _refusal(f"call {module}.{name}")

        @wraps(original, updated=())
        def refused(*positional: Any, **named: Any) -> Any:
            caller = Path(sys._getframe(1).f_code.co_filename)  # noqa: SLF001 - who calls
            own = any(caller.is_relative_to(folder) for folder in self.own)
            return original(*positional, **named) if own else refusal()

        return original, refused


#: One a process: they stand around modules that everything in it shares.
WALLS: Final = Walls()


def close_process(own: Path | None = None, *, configurations: bool = False) -> None:
    """Build the walls in this process.

    Args:
        own: A folder of code that was accepted, if there is one: it may call what is refused.
        configurations: Whether somebody else guards the reading of bundles' configurations.
    """
    WALLS.build()
    if own is not None and own.is_dir():
        WALLS.own.add(own.resolve())
        WALLS.own.add(own)
    if configurations:
        WALLS.allow_configurations()
    else:
        WALLS.refuse_configurations()


def close_lookups() -> None:
    """Let MONAI find by a path only what reads or writes images and their like."""
    for name, module in list(sys.modules.items()):
        if name.startswith("monai.") and getattr(module, "locate", None) is pydoc.locate:
            module.locate = _looked_up  # type: ignore[attr-defined]


def _each() -> list[tuple[str, str]]:
    there = [(m, n) for m, names in _REFUSED for n in names if _importable(m)]
    # What is not installed is no function: it raises whatever is done with it.
    return [(m, n) for m, n in there if isfunction(vars(import_module(m)).get(n))]


def _importable(module: str) -> bool:
    """Return whether this MONAI has a module; versions differ."""
    try:
        import_module(module)
    except ImportError:
        return False
    return True


def _replace(replaced: dict[Any, Any]) -> None:
    by_id = {id(original): new for original, new in replaced.items()}
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] not in _KNOWING:
            continue
        for attribute, value in list(vars(module).items()):
            if id(value) in by_id:
                setattr(module, attribute, by_id[id(value)])


def _refusal(what: str) -> Callable[..., NoReturn]:
    def refused(*_: Any, **__: Any) -> NoReturn:
        raise NotAuthorizedError(
            f"a part of an MMAR may not {what}",
            hint="an archive's parts work on data that is there; leave this part, or the argument "
            "that leads to it, out",
            reason="COMPONENT_NOT_ALLOWED",
        )

    return refused


def _among(optional_import: Callable[..., Any]) -> Callable[..., Any]:
    """Return the lookup of a name in a package, which gives classes of a few bases alone."""

    @wraps(optional_import)
    def found(module: str, *positional: Any, **named: Any) -> Any:
        answer = optional_import(module, *positional, **named)
        if named.get("name") and answer[1]:
            _require_expected(answer[0], f"{module}.{named['name']}")
        return answer

    return found


def _looked_up(path: str, *_: Any, **__: Any) -> Any:
    """Stand in for `pydoc.locate` where MONAI takes an argument for a path."""
    if "." not in path:
        return None
    if not path.startswith("monai."):
        _refusal(f"look up {path[:_SHOWN]!a}")()
    found = pydoc.locate(path)
    if found is not None:
        _require_expected(found, path)
    return found


def _require_expected(found: Any, path: str) -> None:
    bases = tuple(getattr(import_module(m), n) for m, n in _FOUND if _importable(m))
    if not (isinstance(found, type) and issubclass(found, bases)):
        _refusal(f"look up {path[:_SHOWN]!a}, which reads and writes no images")()


def _with(function: Any, **fixed: Any) -> Any:
    @wraps(function)
    def called(*positional: Any, **named: Any) -> Any:
        return function(*positional, **{**named, **fixed})

    return called
