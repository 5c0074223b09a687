# SPDX-License-Identifier: Apache-2.0
"""What a client's children are told to be, checked before anybody is called."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mmar_runner.children.spec import ChildContext, ChildSpec
from mmar_runner.errors import NotAuthorizedError
from mmar_runner.hooks.components import blueprint
from mmar_runner.interfaces.catalog import ComponentKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mmar_runner.children.spec import Role
    from mmar_runner.client.files.workspace import RunFiles
    from mmar_runner.client.settings import SessionSettings
    from mmar_runner.interfaces.catalog import ComponentCatalog
    from mmar_runner.mmar.spec import ComponentSpec


def check_components(settings: SessionSettings, catalog: ComponentCatalog) -> None:
    """Check that every component the session will need is here and may run.

    Nothing is imported.

    Raises:
        NotAuthorizedError: BYOC_NOT_ALLOWED, EXPRESSIONS_NOT_ALLOWED: the MMAR holds code, or
            expressions, that were not accepted.
        PluginError: A component is not installed.
    """
    if settings.spec.byoc and not settings.allow_byoc:
        msg = f"the MMAR {settings.spec.name!r} brings code of its own in custom/"
        hint = "read that code; --allow-byoc lets it run, in a child process"
        raise NotAuthorizedError(msg, reason="BYOC_NOT_ALLOWED", hint=hint)
    if settings.spec.commands and not settings.allow_byoc:
        msg = f"the MMAR {settings.spec.name!r} declares commands, which are code"
        hint = "`mmar-runner validate-mmar` says where; --allow-byoc lets them run"
        raise NotAuthorizedError(msg, reason="BYOC_NOT_ALLOWED", hint=hint)
    if settings.spec.expressions and not settings.allow_expressions:
        msg = f"the MMAR {settings.spec.name!r} holds expressions, which are code"
        hint = "`mmar-runner validate-mmar` says where; --allow-byoc lets the trainer evaluate them"
        raise NotAuthorizedError(msg, reason="EXPRESSIONS_NOT_ALLOWED", hint=hint)
    custom = settings.spec.root / "custom" if settings.spec.byoc else None
    client = settings.client
    needed = [client.client_trainer, *client.inbound_filters, *client.outbound_filters]
    if client.cross_validate:
        needed += [*client.cross_site_inbound, *client.cross_site_outbound]
        needed += [] if client.model_validator is None else [client.model_validator]
    for component in needed:
        blueprint(
            catalog,
            component.kind,
            component.declaration,
            custom_dir=custom,
            allowed=settings.allowed_path_prefixes,
        )
    for declarations in settings.site_filters.values():
        for own in declarations:
            # By name among what is installed: no folder of the MMAR answers to it.
            named = {"name": own["name"], "args": own.get("args", {})}
            blueprint(catalog.installed, ComponentKind.FILTER, named)


def trainer_spec(settings: SessionSettings, files: RunFiles) -> ChildSpec:
    """Return what the trainer's child is."""
    # What it is built of may come from custom/ even if the trainer itself does not.
    custom = settings.allow_byoc and settings.spec.byoc
    trainer = settings.client.client_trainer
    label = trainer.label
    spec = _spec(settings, files, "client_trainer", trainer.declaration, label, custom=custom)
    if settings.client.cross_validate:
        spec = replace(spec, context=replace(spec.context, keeps_best=True))
    if not settings.launcher:
        return spec
    several = replace(spec.context, processes=settings.processes or 1)
    return replace(spec, launcher=settings.launcher, context=several)


def validator_spec(
    settings: SessionSettings, files: RunFiles, validator: ComponentSpec
) -> ChildSpec:
    """Return what the child that validates others' models is."""
    custom = settings.allow_byoc and settings.spec.byoc
    declared, label = validator.declaration, validator.label
    return _spec(settings, files, "model_validator", declared, label, custom=custom)


def filter_spec(
    settings: SessionSettings, files: RunFiles, filters: tuple[ComponentSpec, ...]
) -> ChildSpec:
    """Return what the child for the filters of one direction is."""
    custom = settings.allow_byoc and any(one.byoc for one in filters)
    labelled = [{**one.declaration, "label": one.label} for one in filters]
    return _spec(settings, files, "filter", {"filters": labelled}, "", custom=custom)


def site_filter_spec(settings: SessionSettings, filters: Iterable[Mapping[str, Any]]) -> ChildSpec:
    """Return what the child for the site's own filters of one direction is.

    It holds installed plugins alone: neither code of the MMAR nor its folder, and no
    folder of further plugins.
    """
    named = [{"name": one["name"], "args": dict(one.get("args", {}))} for one in filters]
    return ChildSpec(
        role="filter",
        component={"filters": named},
        context=ChildContext(settings.name),
        threads=settings.threads,
        memory_limit_bytes=settings.memory_limit_bytes,
    )


def _spec(
    settings: SessionSettings,
    files: RunFiles,
    role: Role,
    component: Mapping[str, Any],
    label: str,
    *,
    custom: bool,
) -> ChildSpec:
    spec = settings.spec
    return ChildSpec(
        role=role,
        component=dict(component),
        label=label,
        context=ChildContext(
            client_name=settings.name,
            mmar=str(spec.root),
            workspace=str(files.trainer),
            train_config=dict(spec.train_config),
            validation_config=dict(spec.validation_config),
            variables={**spec.variables, "CLIENT_NAME": settings.name},
            expressions=role == "client_trainer" and settings.allow_expressions,
            commands=settings.spec.commands and settings.allow_byoc,
            synthetic=settings.synthetic,
        ),
        custom_dir=str(spec.root / "custom") if custom else None,
        plugins_dir=None if settings.plugins_dir is None else str(settings.plugins_dir),
        threads=settings.threads,
        memory_limit_bytes=settings.memory_limit_bytes,
        stall_seconds=settings.stall_seconds,
        allowed_path_prefixes=settings.allowed_path_prefixes,
    )
