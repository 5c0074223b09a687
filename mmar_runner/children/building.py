# SPDX-License-Identifier: Apache-2.0
"""How a child builds the components it hosts, and what it makes of their exceptions."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmar_runner.errors import DiskFullError, MmarRunnerError, PluginError, TaskFailedError
from mmar_runner.hooks import load_plugins
from mmar_runner.hooks.components import blueprint, build_component
from mmar_runner.hooks.raised import told
from mmar_runner.interfaces.client_trainer import TrainerContext
from mmar_runner.storage.atomic import NO_SPACE

if TYPE_CHECKING:
    from mmar_runner.children.spec import ChildContext, ChildSpec
    from mmar_runner.interfaces.catalog import Blueprint, ComponentKind
    from mmar_runner.interfaces.client_trainer import ClientTrainer
    from mmar_runner.interfaces.model_validator import ModelValidator


def trainer_context(told: ChildContext, blueprints: Callable[..., Blueprint]) -> TrainerContext:
    """Return what a trainer or validator is told.

    Args:
        told: The same, as it travels to a child.
        blueprints: Looks up a nested component, see `TrainerContext`.
    """
    return TrainerContext(
        client_name=told.client_name,
        mmar=Path(told.mmar),
        workspace=Path(told.workspace),
        train_config=told.train_config,
        validation_config=told.validation_config,
        variables=told.variables,
        blueprint=blueprints,
        rank=told.rank,
        processes=told.processes,
        keeps_best=told.keeps_best,
        expressions=told.expressions,
        commands=told.commands,
        alone=True,
    )


class Workshop:
    """Loads the plugins once and builds components from declarations.

    Code in ``custom/`` is looked at only if the specification names that folder.
    """

    def __init__(self, spec: ChildSpec) -> None:
        plugins_dir = Path(spec.plugins_dir) if spec.plugins_dir else None
        self._catalog = load_plugins(plugins_dir=plugins_dir).registry
        self._custom_dir = Path(spec.custom_dir) if spec.custom_dir else None
        self._allowed = spec.allowed_path_prefixes
        self._label = spec.label

    def build(
        self, kind: ComponentKind, declaration: Mapping[str, Any], expected: type[Any]
    ) -> Any:
        """Build a component and check its type.

        Raises:
            PluginError: It is not there, refuses its arguments, or is something else.
            NotAuthorizedError: The site's policy does not allow it.
        """
        try:
            return build_component(
                self._catalog,
                kind,
                declaration,
                expected,
                custom_dir=self._custom_dir,
                allowed=self._allowed,
            )
        except PluginError as error:
            if label := declaration.get("label") or self._label:
                error.hint = "; ".join(filter(None, (error.hint, f"it is {label}")))
            raise

    def context(self, told: ChildContext) -> TrainerContext:
        """Return what a trainer or validator is told."""
        return trainer_context(told, self._blueprint)

    def set_up(self, component: ClientTrainer | ModelValidator, told: ChildContext) -> None:
        """Let a trainer or validator prepare; on made-up data, if it is told so.

        Raises:
            SyntheticDataError: It makes none up.
            Exception: Whatever the component raises.
        """
        prepare = component.setup_synthetic if told.synthetic else component.setup
        prepare(self.context(told))

    def _blueprint(self, kind: ComponentKind, declaration: Mapping[str, Any]) -> Blueprint:
        return blueprint(
            self._catalog,
            kind,
            declaration,
            custom_dir=self._custom_dir,
            allowed=self._allowed,
        )


@contextmanager
def component_errors(doing: str) -> Iterator[None]:
    """Translate whatever a component raises, so that the child lives on.

    Args:
        doing: The method that was asked for, for the message.

    Raises:
        TaskFailedError: Something was raised; ``details`` holds the traceback.
    """
    try:
        yield
    except TaskFailedError as error:
        error.details = error.details or traceback.format_exc()
        raise
    except MmarRunnerError as error:
        raise TaskFailedError(
            error.message, hint=error.hint, reason=error.reason, details=traceback.format_exc()
        ) from error
    except Exception as error:
        message = f"{doing} raised {told(error)}"
        hint = "the child's memory limit is too low" if isinstance(error, MemoryError) else None
        reason = DiskFullError.default_reason if _is_full(error) else None
        raise TaskFailedError(
            message, hint=hint, reason=reason, details=traceback.format_exc()
        ) from error


def _is_full(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno in NO_SPACE
