# SPDX-License-Identifier: Apache-2.0
"""What is installed, as data: component kinds, descriptions and the catalog protocol.

The validator asks a `ComponentCatalog`; the registry in ``hooks/`` is one. A
description never holds the component itself, only where it would be found, so a
catalog answers without importing numpy, torch or any plugin's working code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Protocol


class ComponentKind(StrEnum):
    """Every kind of component that a plugin can register."""

    AGGREGATOR = "aggregator"
    RESULT_PROCESSOR = "result_processor"
    FILTER = "filter"
    MODEL_PERSISTOR = "model_persistor"
    HANDLER = "handler"
    WORKFLOW = "workflow"
    CLIENT_TRAINER = "client_trainer"
    MODEL_VALIDATOR = "model_validator"
    ADMIN_CMD_MODULE = "admin_cmd_module"
    MODEL = "model"
    LOSS = "loss"
    OPTIMIZER = "optimizer"
    LR_SCHEDULER = "lr_scheduler"
    DATASET = "dataset"
    TRANSFORM = "transform"
    METRIC = "metric"
    DATALOADER = "dataloader"
    INFERER = "inferer"
    ENGINE_HANDLER = "engine_handler"
    ENGINE = "engine"
    CLIENT_ALGO = "client_algo"


#: Kinds that exist only as parts of a trainer (or of a model persistor).
TRAINER_PARTS = frozenset(
    {
        ComponentKind.MODEL,
        ComponentKind.LOSS,
        ComponentKind.OPTIMIZER,
        ComponentKind.LR_SCHEDULER,
        ComponentKind.DATASET,
        ComponentKind.TRANSFORM,
        ComponentKind.METRIC,
        ComponentKind.DATALOADER,
        ComponentKind.INFERER,
        ComponentKind.ENGINE_HANDLER,
        ComponentKind.ENGINE,
        ComponentKind.CLIENT_ALGO,
    }
)


#: What the version of a one-file plugin begins with: it is told by its content alone.
CONTENT: Final = "sha256:"


@dataclass(frozen=True, slots=True)
class ComponentDescription:
    """One registered component, as data.

    Attributes:
        kind: What it is.
        name: The name an MMAR uses.
        target: ``module:attribute``, imported only when the component is built.
        args_schema: JSON Schema (2020-12) of ``args``, an object schema. A property
            with ``"x-component": KIND`` holds a nested component declaration (an
            array of them where its type is array); it reaches the constructor as a
            `Blueprint`.
        aliases: Older names, and dotted class paths of older systems, that mean
            this component.
        path_prefix: True if ``name`` is a dotted prefix (``torch.nn.``) under which
            any class may be named by ``path``.
        summary: One line for ``plugins list``.
        distribution: The installed distribution that registered it, or the path of a one-file
            plugin.
        version: That distribution's version; of a file, `CONTENT` and the sha256 of its content.
        extras: Static facts, such as ``{"memory": "O(block)"}``. The validator knows
            ``train_schema`` and ``train_parts`` (what the component expects in
            config_train.json: a JSON Schema, and kinds by JSON pointer pattern),
            ``validation_schema`` and ``validation_parts`` (config_validation.json),
            ``topics`` (a result processor answers them), ``sends_topics`` (results are
            sent for them), ``expects`` and ``produces`` (kinds of update, of an
            aggregator and a trainer), ``undone_by`` and ``undoes`` (names of filters
            that pair), ``selects_best_model`` (at most one handler does). Further facts,
            which only make checks possible, stand in docs/reference/plugins.md.
    """

    kind: ComponentKind
    name: str
    target: str
    args_schema: Mapping[str, Any]
    aliases: tuple[str, ...] = ()
    path_prefix: bool = False
    summary: str = ""
    distribution: str = ""
    version: str = ""
    extras: Mapping[str, Any] = field(default_factory=dict)

    @property
    def origin(self) -> str:
        """Where it comes from, for people: a distribution and its version, or a file."""
        return self.distribution if self.of_file else f"{self.distribution} {self.version}".strip()

    @property
    def of_file(self) -> bool:
        """Whether a one-file plugin registered it, and no installed distribution."""
        return self.version.startswith(CONTENT)


class ComponentCatalog(Protocol):
    """Answers which components are installed, without importing them."""

    @property
    def installed(self) -> ComponentCatalog:
        """The same without a folder of further plugins: what a process finds that loads none."""
        ...

    def find(self, kind: ComponentKind, name: str) -> ComponentDescription | None:
        """Return the component of that kind with that name or alias, or None.

        A dotted ``name`` is looked up among aliases, then among path prefixes; for a
        prefix the description returned has ``name`` set to the path and ``target`` to
        the named class.

        Raises:
            PluginConflictError: More than one plugin claims the name.
        """
        ...

    def names(self, kind: ComponentKind) -> Sequence[str]:
        """Return all names of a kind that are registered one by one, sorted, without aliases."""
        ...

    def tabled(self, kind: ComponentKind) -> Sequence[str]:
        """Return the names of a kind that stand in tables, sorted, without aliases."""
        ...

    def at_target(self, kind: ComponentKind, dotted: str) -> ComponentDescription | None:
        """Return the component of that kind that a class path leads to, or None."""
        ...

    def kinds_of(self, name: str) -> Sequence[ComponentKind]:
        """Return the kinds under which a name or alias is registered (for hints)."""
        ...

    def broken(self) -> Mapping[str, str]:
        """Return the plugins that could not be loaded: name to reason."""
        ...

    @property
    def doctor(self) -> str:
        """The command that says what is wrong with these plugins."""
        ...


class Blueprint(Protocol):
    """A component declaration that was checked and can be built, any number of times."""

    @property
    def kind(self) -> ComponentKind:
        """The kind of what will be built."""
        ...

    @property
    def name(self) -> str:
        """The declared name (or path)."""
        ...

    @property
    def args(self) -> Mapping[str, Any]:
        """The declared arguments."""
        ...

    @property
    def facts(self) -> Mapping[str, Any]:
        """What its plugin states of it (`ComponentDescription.extras`); empty for own code."""
        ...

    def build(self, *positional: Any, **extra: Any) -> Any:
        """Import the target and call it with the declared and the given arguments.

        Raises:
            ComponentBuildError: The import or the call failed.
        """
        ...
