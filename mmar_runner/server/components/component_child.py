# SPDX-License-Identifier: Apache-2.0
"""What a child process of the server is told about the component that it is to run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.children.spec import ChildContext, ChildSpec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from mmar_runner.children.spec import Role
    from mmar_runner.mmar.spec import ComponentSpec
    from mmar_runner.server.records.workspace import RunFolder
    from mmar_runner.server.settings import ServerSettings

#: How long a child may take to import what it needs, at the least: that is no work on a task.
START_SECONDS: Final = 60.0


def child_spec(
    settings: ServerSettings,
    folder: RunFolder,
    role: Role,
    component: ComponentSpec,
    *,
    place: Path | None = None,
) -> ChildSpec:
    """Return what a child needs to build a component of a run, and where it works.

    Args:
        settings: Of the server.
        folder: Of the run.
        role: What the child is to be.
        component: What it hosts.
        place: The folder in which it works; None for the run's.
    """
    own = component.byoc and settings.runs_own_code
    spec = _spec(settings, folder, role, component.declaration, place=place, own=own)
    return replace(spec, label=component.label)


def chain_spec(
    settings: ServerSettings,
    folder: RunFolder,
    filters: Sequence[ComponentSpec],
    *,
    place: Path,
) -> ChildSpec:
    """Return what a child needs to build filters of one direction.

    Args:
        settings: Of the server.
        folder: Of the run.
        filters: Their declarations, in order.
        place: The folder in which it works.
    """
    labelled = [{**one.declaration, "label": one.label} for one in filters]
    own = any(one.byoc for one in filters) and settings.runs_own_code
    return _spec(settings, folder, "filter", {"filters": labelled}, place=place, own=own)


def _spec(
    settings: ServerSettings,
    folder: RunFolder,
    role: Role,
    component: Mapping[str, Any],
    *,
    place: Path | None,
    own: bool,
) -> ChildSpec:
    spec = settings.spec
    return ChildSpec(
        role=role,
        component=component,
        context=ChildContext(
            client_name="server",
            mmar=str(folder.mmar),
            workspace=str(place or folder.path),
            train_config=dict(spec.train_config),
            validation_config=dict(spec.validation_config),
            variables=dict(spec.variables),
            commands=spec.commands and settings.runs_own_code,
            synthetic=settings.synthetic,
        ),
        custom_dir=str(folder.mmar / "custom") if own else None,
        plugins_dir=None if settings.plugins_dir is None else str(settings.plugins_dir),
        memory_limit_bytes=settings.memory_limit_bytes,
        allowed_path_prefixes=settings.allowed_path_prefixes,
    )
