# SPDX-License-Identifier: Apache-2.0
"""Builds the parts of a workflow: by names, labels and references, functions read from text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mmar_runner.errors import ComponentBuildError
from mmar_runner.interfaces.catalog import ComponentKind
from mmar_runner.interfaces.nested import is_off
from mmar_runner_monai.folders import Place, close_layouts, inside_workspace
from mmar_runner_monai.functions import TOLD_POSITIONS, read_functions
from mmar_runner_monai.schemas import PART_NAMES, TRAIN_PARTS, VALIDATION_PARTS
from mmar_runner_monai.walls import WALLS, close_process
from mmar_runner_monai.writing import WRITING

if TYPE_CHECKING:
    from mmar_runner.interfaces.catalog import Blueprint
    from mmar_runner.interfaces.client_trainer import TrainerContext

Declaration = Mapping[str, Any]


class Parts:
    """Builds what configurations declare.

    ``{"ref": "Name"}`` stands for the part of that name, or with the label of ``Name#Label``, in
    the first configuration that has one; only what stands where a part stands is one.

    Args:
        context: Makes blueprints.
        configurations: Where references may lead, the nearest first.
    """

    def __init__(self, context: TrainerContext, *configurations: Declaration) -> None:
        own = context.mmar / "custom"
        close_process(own)
        close_layouts()
        if not own.is_dir():
            WALLS.load_only_data()
            if context.alone:
                WRITING.allow(context.workspace)
        self.context = context
        self._labelled: dict[str, Declaration] = {}
        for configuration in configurations:
            for one in _named(configuration):
                base, _, label = str(one["name"]).partition("#")
                for name in (label, str(one["name"]), base):
                    self._labelled.setdefault(name, one)

    def declared(self, declaration: Any) -> Declaration | None:
        """Return a declaration with its reference followed; None if nothing is to be built.

        Raises:
            ComponentBuildError: A reference leads nowhere.
        """
        if not isinstance(declaration, Mapping) or is_off(declaration):
            return None
        if "ref" not in declaration or "name" in declaration or "path" in declaration:
            return declaration
        found = self._labelled.get(str(declaration["ref"]))
        if found is None:
            raise ComponentBuildError(f"nothing is named or labelled '{declaration['ref']}'")
        return None if is_off(found) else {**found, **_without_ref(declaration)}

    def origin(self, declaration: Declaration) -> Declaration:
        """Return the declaration that a reference leads to; of no reference itself."""
        if "ref" not in declaration or "name" in declaration or "path" in declaration:
            return declaration
        return self._labelled.get(str(declaration["ref"]), declaration)

    def all_declared(self, declarations: Any) -> list[Declaration]:
        """Return the declarations of a list that stand for something."""
        given: Sequence[Any] = declarations or ()
        return [one for one in map(self.declared, given) if one is not None]

    def build(
        self, kind: ComponentKind, declaration: Declaration, *positional: Any, **extra: Any
    ) -> Any:
        """Build a part.

        Args:
            kind: What is declared.
            declaration: How.
            positional: Arguments that are not declared.
            extra: Likewise, by name; they go before declared ones.

        Raises:
            PluginError: It is not there or cannot be built.
            NotAuthorizedError: It would do more than work on data.
            FormatError: A function as text is of another shape than the accepted ones.
            TaskFailedError: It would write outside the client's workspace.
        """
        found = self.blueprint(kind, declaration)
        place = Place(self.context.workspace, self.context.mmar)
        extra = {**inside_workspace(found.name, found.args, place), **extra}
        once = kind is ComponentKind.ENGINE_HANDLER
        told = once or kind is ComponentKind.METRIC
        functions = read_functions(
            found.args, once=once, most_positions=TOLD_POSITIONS if told else None
        )
        return found.build(*positional, **{**functions, **extra})

    def build_if_declared(self, kind: ComponentKind, declaration: Any, **extra: Any) -> Any:
        """Build a part, or return None if it is absent or switched off."""
        found = self.declared(declaration)
        return None if found is None else self.build(kind, found, **extra)

    def blueprint(self, kind: ComponentKind, declaration: Declaration) -> Blueprint:
        """Return a part's blueprint, by the name under which it is registered."""
        name = declaration.get("name")
        if isinstance(name, str):
            base = name.partition("#")[0]
            declaration = {**declaration, "name": PART_NAMES.get(kind.value, {}).get(base, base)}
        return self.context.blueprint(kind, declaration)


def name_of(declaration: Declaration) -> str:
    """Return what a declared class is called, without its package and label."""
    written = str(declaration.get("path") or declaration.get("name") or "")
    return written.rpartition(".")[2].partition("#")[0]


def _without_ref(declaration: Declaration) -> dict[str, Any]:
    return {key: value for key, value in declaration.items() if key != "ref"}


def _named(configuration: Declaration) -> Iterator[Declaration]:
    """Yield every part of a configuration that has a name, in the order of the sections."""
    for place in dict.fromkeys((*TRAIN_PARTS, *VALIDATION_PARTS)):
        for one in _at(configuration, place.strip("/").split("/")):
            if isinstance(one, Mapping) and isinstance(one.get("name"), str):
                yield one


def _at(value: Any, steps: Sequence[str]) -> Iterator[Any]:
    """Yield what stands at a place, whose last step may be any of a list."""
    if not steps:
        yield value
    elif steps[0] == "*":
        for one in value if isinstance(value, list) else ():
            yield from _at(one, steps[1:])
    elif isinstance(value, Mapping) and steps[0] in value:
        yield from _at(value[steps[0]], steps[1:])
