# SPDX-License-Identifier: Apache-2.0
"""Keeps MONAI from doing what a configuration must not be able to ask for.

A few of its classes take an argument for the path of something to call, for leave to load
objects out of files, to compile, or to fetch something. An archive is data: what runs is what
the site installed. Whoever builds a part of MONAI's, `require_admitted` is asked before: it is
the fact ``admitted_by`` of every table and prefix.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, Final

from mmar_runner.errors import NotAuthorizedError
from mmar_runner_monai.names import UNFIT
from mmar_runner_monai.walls import close_process

#: Classes of MONAI's own that read images, write them, or read whole slides.
READERS: Final = (
    *("ITKReader", "NibabelReader", "NrrdReader", "NumpyReader", "PILReader", "PydicomReader"),
    *("NvImgCodecPydicomReader", "WSIReader"),
    *("itkreader", "nibabelreader", "nrrdreader", "numpyreader", "pilreader", "pydicomreader"),
    *("cuCIM", "cucim", "OpenSlide", "openslide", "TiffFile", "tifffile"),
)
WRITERS: Final = ("ITKWriter", "NibabelWriter", "PILWriter")
_CHOSEN: Final = {"reader": READERS, "writer": WRITERS}
#: Names that MONAI looks up among its own, or imports if there is a dot in them.
_NAMES: Final = ("backbone", "merger_cls")
#: Arguments that make a part fetch something, compile, or load objects that run code.
FETCHING: Final = (
    *("download", "pretrained", "pretrained_url", "pretrained_path", "path_or_repo_id"),
    *("compile", "compile_kwargs"),
)
_REFUSED: Final = (*FETCHING, "allow_pickle")
#: What an argument may be, and nothing else.
_ONLY: Final = {"weights_only": True, "pickle_module": "pickle"}
#: Arguments that are handed on to PyTorch, and what may stand in them. An engine's `non_blocking`
#: is an argument of its own: beside it, one of ``to_kwargs`` is given twice, and fails.
PASSED_ON: Final[dict[str, tuple[str, ...]]] = {
    "amp_kwargs": ("cache_enabled", "enabled"),
    "to_kwargs": ("copy",),
}
#: What a part of a kind is derived from.
BASES: Final[dict[str, tuple[str, str]]] = {
    "dataloader": ("torch.utils.data", "DataLoader"),
    "dataset": ("torch.utils.data", "Dataset"),
    "engine": ("monai.engines", "Workflow"),
    "inferer": ("monai.inferers", "Inferer"),
    "loss": ("torch.nn", "Module"),
    "lr_scheduler": ("torch.optim.lr_scheduler", "LRScheduler"),
    "metric": ("ignite.metrics", "Metric"),
    "model": ("torch.nn", "Module"),
    "optimizer": ("torch.optim", "Optimizer"),
    "transform": ("monai.transforms", "Transform"),
}
#: A handler has no base, but a method.
_HANDLER: Final = "engine_handler"


def require_admitted(kind: str, name: str, target: Any, arguments: Mapping[str, Any]) -> None:
    """Refuse what is no part of its kind, or would do more than work on data.

    It is asked after the class was imported and before it is called.

    Args:
        kind: What is to be built.
        name: Of the part.
        target: Its class.
        arguments: As declared.

    Raises:
        NotAuthorizedError: COMPONENT_NOT_ALLOWED.
    """
    close_process()
    if not _is_of(kind, target):
        _refuse(f"{name} is no {kind.replace('_', ' ')}", "name a class of that kind")
    for place in _places(target):
        if why := UNFIT.get(kind, {}).get(place):
            _refuse(f"{name} cannot be used: {why}", "name another class")
    require_harmless(name, arguments)


def require_harmless(name: str, arguments: Mapping[str, Any]) -> None:
    """Refuse arguments by which a part would do more than work on data.

    Args:
        name: Of the part.
        arguments: As declared.

    Raises:
        NotAuthorizedError: COMPONENT_NOT_ALLOWED.
    """
    for argument in refused_in(arguments):
        mend = f"leave '{argument}' out"
        if not isinstance(arguments[argument], str):
            mend += ", or write what MONAI takes if it is left out"
        _refuse(f"{name} may not have '{argument}' from an MMAR as it stands there", mend)


def refused_in(arguments: Mapping[str, Any]) -> Iterator[str]:
    """Return the names of arguments that no part may have, or not with such a value."""
    return (name for name, value in arguments.items() if not _may_be(name, value))


def _may_be(name: str, value: Any) -> bool:
    """Return whether an argument may have a value."""
    if name in _REFUSED:
        return value is None or value is False
    if name in _ONLY:
        return value in (_ONLY[name], None)
    if name in PASSED_ON:
        return value is None or (
            isinstance(value, Mapping) and value.keys() <= set(PASSED_ON[name])
        )
    if name in _CHOSEN or name in _NAMES:
        return all(_is_own(name, one) for one in _all(value))
    return True


def _is_own(argument: str, value: Any) -> bool:
    if not isinstance(value, str):
        return True  # an object that was built by itself, or something that nothing takes
    return value in _CHOSEN.get(argument, (value,)) and "." not in value


def _all(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _is_of(kind: str, target: Any) -> bool:
    if not isinstance(target, type):
        return False
    if kind == _HANDLER:
        return callable(getattr(target, "attach", None))
    if kind not in BASES:
        return False
    module, name = BASES[kind]
    return issubclass(target, getattr(import_module(module), name))


def _places(target: type) -> list[str]:
    """Return where a class and all that it is derived from are defined."""
    return [f"{one.__module__}.{one.__qualname__}" for one in target.__mro__]


def _refuse(message: str, hint: str) -> None:
    raise NotAuthorizedError(message, hint=hint, reason="COMPONENT_NOT_ALLOWED")
