# SPDX-License-Identifier: Apache-2.0
"""What every plugin's registration must be."""

from __future__ import annotations

import json
import subprocess
import sys
from abc import ABC
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, ClassVar, Final

from mmar_runner.hooks import LoadedPlugins, load_plugins
from mmar_runner.hooks.doctor import diagnose
from mmar_runner.interfaces.catalog import TRAINER_PARTS, ComponentKind
from mmar_runner.interfaces.tags import Tag, tags_of
from mmar_runner.testing.contracts.laws import hold, same

if TYPE_CHECKING:
    from mmar_runner.interfaces.catalog import ComponentDescription

#: What listing and validating must never import.
HEAVY: Final = (
    *("numpy", "torch", "jsonschema", "sklearn", "tensorboard", "grpc", "monai", "ignite"),
    "nibabel",
)

_WATCH: Final = """
import json, sys
from mmar_runner.hooks import load_plugins
load_plugins(allow=[sys.argv[1]])
print(json.dumps(sorted(set(sys.argv[2:]) & set(sys.modules))))
"""


class RegistrationContract(ABC):
    """Everything that an installed distribution registers is complete and true.

    Attributes:
        distribution: The name of the installed distribution.
    """

    distribution: ClassVar[str]

    def test_loads(self) -> None:
        """The plugin loads, and registers something."""
        plugins = self._plugins()
        law = f"The plugins of {self.distribution} load"
        same(law, [], [f.message for f in plugins.failures])
        found = self._registered(plugins)
        hold(law, found, expected="at least one component", got=found)

    def test_nothing_is_wrong(self) -> None:
        """What ``plugins doctor`` examines: schemas, imports, types and signatures."""
        problems = [f"{p.subject}: {p.message}" for p in diagnose(self._plugins())]
        same("`plugins doctor` finds nothing wrong", [], problems)

    def test_summaries(self) -> None:
        """Every component has its line in ``plugins list``."""
        for description in self._registered(self._plugins()):
            law = f"{description.name} has a summary, for `plugins list`"
            summary = description.summary
            hold(law, summary, expected="a sentence", got=summary)

    def test_arguments_are_described(self) -> None:
        """Every argument has its line in ``plugins show``.

        Those of trainers' parts are the framework's own and documented there.
        """
        for description in self._registered(self._plugins()):
            if description.kind in TRAINER_PARTS:
                continue
            for name, schema in description.args_schema.get("properties", {}).items():
                law = f"The argument {name} of {description.name} is described, for `plugins show`"
                hold(law, schema.get("description"), expected="a description", got=schema)

    def test_schemas_are_json(self) -> None:
        """A schema is data that other programs can read."""
        for description in self._registered(self._plugins()):
            schema = dict(description.args_schema)
            law = f"The argument schema of {description.name} is JSON"
            same(law, json.loads(json.dumps(schema)), schema)

    def test_aggregators_say_whether_they_compose(self) -> None:
        """`validate-mmar` imports no class: what it says of a tree rests on the tag."""
        for description in self._registered(self._plugins()):
            if description.kind is not ComponentKind.AGGREGATOR:
                continue
            module, _, name = description.target.partition(":")
            composes = bool(getattr(getattr(import_module(module), name), "composes", False))
            stated = Tag.COMPOSES in tags_of(description.extras, {})
            law = f"{description.name} has the tag 'composes' if its class says so, and only then"
            same(law, composes, stated)

    def test_registering_imports_nothing_heavy(self) -> None:
        """Listing and validating stay quick, whatever the components need."""
        command = [sys.executable, "-c", _WATCH, self.distribution, *HEAVY]
        watched = subprocess.run(command, check=True, capture_output=True, text=True)
        law = "Registering imports nothing heavy; import it where it is used"
        same(law, [], json.loads(watched.stdout))

    def _plugins(self) -> LoadedPlugins:
        return load_plugins(allow=[self.distribution])

    def _registered(self, plugins: LoadedPlugins) -> Sequence[ComponentDescription]:
        own = self.distribution
        return [d for d in plugins.registry.descriptions() if d.distribution == own]
