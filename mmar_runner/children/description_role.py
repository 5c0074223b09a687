# SPDX-License-Identifier: Apache-2.0
"""A child that says what declared components make, without making it: see `validate-mmar --deep`.

It trains nothing, and no component is set up: there may be no data where an MMAR is looked at.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mmar_runner.children.descriptions import facts_to_json
from mmar_runner.children.role import Method, Role
from mmar_runner.children.spec import ChildContext
from mmar_runner.interfaces.aggregator import TensorwiseAggregator
from mmar_runner.interfaces.catalog import ComponentKind
from mmar_runner.interfaces.client_trainer import ClientTrainer
from mmar_runner.interfaces.model_persistor import ModelPersistor
from mmar_runner.interfaces.server_state import StatefulAggregator

if TYPE_CHECKING:
    from mmar_runner.children.building import Workshop


class DescriptionRole(Role):
    """Answers ``persistor``, ``aggregator`` and ``trainer``: each builds a component and asks it.

    Args:
        workshop: Builds them.
    """

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop

    def methods(self) -> Mapping[str, Method]:
        """Return what can be asked, by name."""
        return {
            "persistor": self._persistor,
            "aggregator": self._aggregator,
            "trainer": self._trainer,
        }

    def _persistor(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Describe the initial model of a persistor: ``component``."""
        kind = ComponentKind.MODEL_PERSISTOR
        persistor: ModelPersistor = self._workshop.build(kind, params["component"], ModelPersistor)
        return facts_to_json(persistor.describe())

    def _trainer(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Describe the network of a trainer: ``component``, and the ``context`` it would get."""
        kind = ComponentKind.CLIENT_TRAINER
        trainer: ClientTrainer = self._workshop.build(kind, params["component"], ClientTrainer)
        context = self._workshop.context(ChildContext(**params["context"]))
        facts = trainer.describe(context)
        return facts_to_json(facts, why="" if facts is not None else trainer.unknown_network())

    def _aggregator(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Say what becomes of tensors in an aggregation: ``component``, ``names``, ``expression``.

        The expression is the MMAR's own ``exclude_vars``, or None.
        """
        kind = ComponentKind.AGGREGATOR
        rule: TensorwiseAggregator = self._workshop.build(
            kind, params["component"], TensorwiseAggregator
        )
        declared = params["expression"]
        own = None if declared is None else re.compile(declared)
        return {
            "takes": rule.takes,
            "slots": len(rule.state) if isinstance(rule, StatefulAggregator) else 0,
            "excluded": [
                name
                for name in params["names"]
                if rule.excludes(name) or (own is not None and own.search(name))
            ],
            "least": rule.min_updates,
        }
