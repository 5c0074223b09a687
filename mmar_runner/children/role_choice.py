# SPDX-License-Identifier: Apache-2.0
"""Which class plays the role that a specification asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmar_runner.children.building import Workshop
    from mmar_runner.children.role import Ask, Role
    from mmar_runner.children.spec import ChildSpec
    from mmar_runner.interfaces.client_trainer import Progress


def role_of(
    spec: ChildSpec, workshop: Workshop, progress: Progress, ask: Ask | None = None
) -> Role:
    """Build the role that a specification asks for, with its component.

    Args:
        spec: What the child is.
        workshop: Builds components.
        progress: Tells the parent of a step of the task under way.
        ask: Asks the parent something that the request under way needs.
    """
    # Imported here because each role brings libraries that the others do not need.
    if spec.launcher:
        from mmar_runner.children.parallel_role import ParallelTrainerRole  # noqa: PLC0415

        return ParallelTrainerRole(spec, progress)
    if spec.role == "client_trainer":
        from mmar_runner.children.trainer_role import TrainerRole  # noqa: PLC0415

        return TrainerRole(spec, workshop, progress)
    if spec.role == "filter":
        from mmar_runner.children.filter_role import FilterRole  # noqa: PLC0415

        return FilterRole(spec, workshop, ask)
    if spec.role == "aggregator":
        from mmar_runner.children.aggregator_role import AggregatorRole  # noqa: PLC0415

        return AggregatorRole(spec, workshop)
    return _hosting_none(spec, workshop) or _of_models(spec, workshop)


def _hosting_none(spec: ChildSpec, workshop: Workshop) -> Role | None:
    """Return a role that hosts no component; None if the specification asks for another."""
    if spec.role == "codec":
        from mmar_runner.children.codec_role import CodecRole  # noqa: PLC0415

        return CodecRole()
    if spec.role == "expression":
        from mmar_runner.children.expression_role import ExpressionRole  # noqa: PLC0415

        return ExpressionRole()
    if spec.role == "description":
        from mmar_runner.children.description_role import DescriptionRole  # noqa: PLC0415

        return DescriptionRole(workshop)
    return None


def _of_models(spec: ChildSpec, workshop: Workshop) -> Role:
    """Return a role that makes or measures models."""
    from mmar_runner.children.model_roles import PersistorRole, ValidatorRole  # noqa: PLC0415

    role = PersistorRole if spec.role == "model_persistor" else ValidatorRole
    return role(spec, workshop)
