# SPDX-License-Identifier: Apache-2.0
"""The data of a workflow section: a data list, transforms, a data set, a loader."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from monai.data import Dataset
from monai.transforms import Compose

from mmar_runner.errors import ComponentBuildError, TaskFailedError
from mmar_runner.interfaces.catalog import ComponentKind
from mmar_runner_monai.data_list import LIST_FILE, read_data_list
from mmar_runner_monai.declared_at import called
from mmar_runner_monai.items import SeededItems, cause_of
from mmar_runner_monai.loading import Batches, LoaderSettings, workers_for
from mmar_runner_monai.parts import name_of

if TYPE_CHECKING:
    from mmar_runner_monai.parts import Declaration, Parts
    from mmar_runner_torch.team import Team

#: Data sets that fill a cache by threads when they are built, and show how far they are.
_CACHING: Final = ("CacheDataset", "SmartCacheDataset")
#: Arguments that say how many threads do so.
_THREADS: Final = ("num_workers", "num_init_workers", "num_replace_workers")


def batches_of(parts: Parts, section: Declaration, where: str, team: Team) -> Batches:
    """Build a section's data set and return its batches.

    Args:
        parts: Builds parts.
        section: ``train`` or ``validate``.
        where: What the section is called in messages.
        team: The processes that share the batches.

    Raises:
        TaskFailedError: Data is missing, a transform fails on it, or there is no batch.
        PluginError: A part is missing or cannot be built.
    """
    dataset = _dataset(parts, section, where, team)
    loader = parts.declared(section.get("dataloader")) or {}
    settings = LoaderSettings.declared(loader.get("args") or {}, processes=team.size)
    found = Batches(SeededItems(dataset, where), settings, team)
    if not len(found):
        raise TaskFailedError(f"{where}: {len(dataset)} samples make no batch")
    return found


def composed(parts: Parts, section: Declaration, key: str) -> Compose | None:
    """Build a list of transforms; None if it is empty.

    Raises:
        PluginError: One of them is missing or cannot be built.
    """
    built = [
        _transform(parts, declared, called(parts, ComponentKind.TRANSFORM, given))
        for given in section.get(key) or ()
        if (declared := parts.declared(given)) is not None
    ]
    return Compose(built) if built else None


def _transform(parts: Parts, declared: Declaration, called_so: str) -> Any:
    try:
        return parts.build(ComponentKind.TRANSFORM, declared)
    except ComponentBuildError as error:
        # It says itself what is wrong; where, it does not know.
        said = error.message.removeprefix(f"{called_so.partition(' (')[0]} ")
        joint = ": " if said == error.message else " "
        raise ComponentBuildError(f"{called_so}{joint}{said}", hint=error.hint) from error


def _dataset(parts: Parts, section: Declaration, where: str, team: Team) -> Any:
    declaration = parts.declared(section.get("dataset"))
    if declaration is None:
        raise TaskFailedError(f"{where} declares no dataset")
    transforms = composed(parts, section, "pre_transforms")
    if LIST_FILE not in declaration:  # one that knows where its data is
        own = parts.build(ComponentKind.DATASET, declaration)
        return own if transforms is None else Dataset(own, transforms)
    extra = _extra(declaration, team)
    samples = read_data_list(declaration, parts.context)
    try:
        return parts.build(
            ComponentKind.DATASET, declaration, data=samples, transform=transforms, **extra
        )
    except ComponentBuildError as error:
        if error.__cause__ is None:
            raise
        message = f"{where}: the data set cannot be built: {cause_of(error.__cause__)}"
        raise TaskFailedError(message, hint=error.hint) from error


def _extra(declaration: Declaration, team: Team) -> dict[str, Any]:
    arguments: Mapping[str, Any] = declaration.get("args") or {}
    extra: dict[str, Any] = {}
    if name_of(declaration) in _CACHING:
        extra["progress"] = False
    for name in _THREADS:
        if isinstance(wanted := arguments.get(name), int):
            extra[name] = workers_for(wanted, team.size)
    return extra
