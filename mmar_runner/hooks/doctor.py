# SPDX-License-Identifier: Apache-2.0
"""A full examination of what is registered, for ``plugins doctor`` and contract suites.

Unlike loading, this imports every component and reads every schema to its last
keyword. It builds nothing and changes nothing.
"""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.errors import ComponentBuildError
from mmar_runner.hooks.importing import ASK_DOCTOR, import_target
from mmar_runner.interfaces.admin_cmd_module import AdminCmdModule
from mmar_runner.interfaces.aggregator import TensorwiseAggregator
from mmar_runner.interfaces.catalog import TRAINER_PARTS, ComponentDescription, ComponentKind
from mmar_runner.interfaces.client_trainer import ClientTrainer
from mmar_runner.interfaces.filter import Filter
from mmar_runner.interfaces.handler import Handler
from mmar_runner.interfaces.model_persistor import ModelPersistor
from mmar_runner.interfaces.model_validator import ModelValidator
from mmar_runner.interfaces.result_processor import ResultProcessor
from mmar_runner.interfaces.whole_aggregator import WholeUpdateAggregator
from mmar_runner.interfaces.workflow import Workflow

if TYPE_CHECKING:
    from mmar_runner.hooks.manager import LoadedPlugins

#: The class that a component of a kind must be; parts of trainers may be anything.
INTERFACES: Final[Mapping[ComponentKind, type]] = {
    ComponentKind.AGGREGATOR: TensorwiseAggregator,
    ComponentKind.RESULT_PROCESSOR: ResultProcessor,
    ComponentKind.FILTER: Filter,
    ComponentKind.MODEL_PERSISTOR: ModelPersistor,
    ComponentKind.HANDLER: Handler,
    ComponentKind.WORKFLOW: Workflow,
    ComponentKind.CLIENT_TRAINER: ClientTrainer,
    ComponentKind.MODEL_VALIDATOR: ModelValidator,
    ComponentKind.ADMIN_CMD_MODULE: AdminCmdModule,
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with what is installed.

    Attributes:
        subject: The plugin, or the component's kind and name.
        distribution: Where it comes from.
        reason: A stable upper-case id.
        message: What is wrong.
        hint: How to mend it, if that is known.
        traceback: The full traceback, or empty.
    """

    subject: str
    distribution: str
    reason: str
    message: str
    hint: str | None = None
    traceback: str = ""


def diagnose(plugins: LoadedPlugins) -> Sequence[Problem]:
    """Return everything that is wrong with the loaded and the refused plugins."""
    failures = [
        Problem(f"plugin {f.plugin}", f.distribution, f.reason, f.message, f.hint, f.traceback)
        for f in plugins.failures
    ]
    conflicts = [
        Problem(
            subject=f"{conflict.kind} {conflict.name}",
            distribution=" and ".join(sorted({d.distribution for d in conflict.claims})),
            reason="PLUGIN_CONFLICT",
            message=conflict.error().message,
            hint=conflict.error().hint,
        )
        for conflict in plugins.registry.conflicts()
    ]
    components = [p for d in plugins.registry.descriptions() for p in examine(d)]
    return [*failures, *conflicts, *components]


def advise(plugins: LoadedPlugins) -> Sequence[Problem]:
    """Return what people will miss in the components: nothing fails of it, but a contract suite."""
    return [
        _problem(description, "COMPONENT_UNDESCRIBED", message)
        for description in plugins.registry.descriptions()
        for message in undescribed(description)
    ]


def undescribed(description: ComponentDescription) -> Sequence[str]:
    """Return what ``plugins list`` and ``plugins show`` have no words for.

    The arguments of trainers' parts are the framework's own and documented there.
    """
    said = [] if description.summary else ["it has no summary, for `plugins list`"]
    if description.kind not in TRAINER_PARTS:
        said += [
            f"the argument {name!r} has no description, for `plugins show`"
            for name, schema in description.args_schema.get("properties", {}).items()
            if not schema.get("description")
        ]
    return said


def examine(description: ComponentDescription) -> Sequence[Problem]:
    """Return everything that is wrong with one component."""
    found = [("COMPONENT_SCHEMA", m) for m in schema_problems(description)]
    if description.path_prefix:
        found += [("COMPONENT_IMPORT", m) for m in _prefix_problems(description)]
        return [_problem(description, reason, message) for reason, message in found]
    try:
        target = import_target(description)
    except ComponentBuildError as error:
        found.append(("COMPONENT_IMPORT", error.message))
        hint = None if error.hint == ASK_DOCTOR else error.hint
        return [_problem(description, *f, hint=hint) for f in found]
    found += [("COMPONENT_TYPE", m) for m in type_problems(description, target)]
    found += [("COMPONENT_SIGNATURE", m) for m in signature_problems(description, target)]
    return [_problem(description, reason, message) for reason, message in found]


def schema_problems(description: ComponentDescription) -> Sequence[str]:
    """Return what is wrong with the schema of a component's arguments."""
    # Slow to import, and only this examination needs it.
    from jsonschema import Draft202012Validator  # noqa: PLC0415
    from jsonschema.exceptions import SchemaError  # noqa: PLC0415

    try:
        Draft202012Validator.check_schema(description.args_schema)
    except SchemaError as error:
        place = "/".join(str(part) for part in error.absolute_path) or "args_schema"
        return [f"its args_schema is not JSON Schema 2020-12: {place}: {error.message}"]
    wrong = []
    for name, schema in description.args_schema.get("properties", {}).items():
        if "default" in schema and not Draft202012Validator(schema).is_valid(schema["default"]):
            wrong.append(f"the default of argument {name!r} does not fit its own schema")
    return wrong


def type_problems(description: ComponentDescription, target: Any) -> Sequence[str]:
    """Return why the imported target cannot be a component of its kind."""
    interface = INTERFACES.get(description.kind)
    if description.kind is ComponentKind.AGGREGATOR and description.extras.get("whole_updates"):
        interface = WholeUpdateAggregator
    if interface is None:
        return [] if callable(target) else [f"{description.target} cannot be called"]
    if not (isinstance(target, type) and issubclass(target, interface)):
        expected = f"{interface.__module__}.{interface.__name__}"
        return [f"{description.target} is not a subclass of {expected}"]
    missing = sorted(getattr(target, "__abstractmethods__", ()))
    return [f"{description.target} does not implement {', '.join(missing)}"] if missing else []


def signature_problems(description: ComponentDescription, target: Any) -> Sequence[str]:
    """Return where a constructor and the schema of its arguments differ.

    A part of a trainer may take further arguments, which the trainer gives it.
    """
    try:
        parameters = inspect.signature(target).parameters
    except (TypeError, ValueError):
        return []  # Written in C without a signature: nothing to compare with.
    keywords = {
        name: p
        for name, p in parameters.items()
        if p.kind in {p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY}
    }
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    schema = description.args_schema
    properties = schema.get("properties", {})
    wrong = []
    if not open_ended:
        wrong += [
            f"argument {name!r} is in the schema, but the constructor does not take it"
            for name in sorted(properties.keys() - keywords.keys())
        ]
    if description.kind not in TRAINER_PARTS:
        wrong += _undeclared(schema, keywords)
    return [*wrong, *_default_problems(properties, keywords)]


def _undeclared(
    schema: Mapping[str, Any], keywords: Mapping[str, inspect.Parameter]
) -> Sequence[str]:
    properties, required = schema.get("properties", {}), set(schema.get("required", ()))
    needed = {name for name, p in keywords.items() if p.default is p.empty}
    wrong = [
        f"the constructor takes {name!r}, but the schema does not name it"
        for name in sorted(keywords.keys() - properties.keys())
    ]
    wrong += [
        f"argument {name!r} has no default in the constructor, so the schema must require it"
        for name in sorted(needed & properties.keys() - required)
    ]
    wrong += [
        f"the schema requires {name!r}, but the constructor has a default for it"
        for name in sorted(required & keywords.keys() - needed)
    ]
    return wrong


def _default_problems(
    properties: Mapping[str, Any], keywords: Mapping[str, inspect.Parameter]
) -> Sequence[str]:
    wrong = []
    for name in sorted(properties.keys() & keywords.keys()):
        actual = keywords[name].default
        # None stands for "work it out", so its documented value may be anything.
        if actual is None or actual is inspect.Parameter.empty:
            continue
        documented = properties[name].get("default", actual)
        if _as_json(documented) != _as_json(actual):
            wrong.append(
                f"the schema says the default of {name!r} is {documented!r};"
                f" the constructor's is {actual!r}"
            )
    return wrong


def _as_json(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _prefix_problems(description: ComponentDescription) -> Sequence[str]:
    module = description.name.rstrip(".")
    try:
        found = importlib.util.find_spec(module)
    except ImportError as error:
        return [f"the path prefix {description.name!r} cannot be imported: {error}"]
    return [] if found else [f"the path prefix {description.name!r} names no installed package"]


def _problem(
    description: ComponentDescription, reason: str, message: str, hint: str | None = None
) -> Problem:
    whom = "correct it in" if description.of_file else "tell the authors of"
    return Problem(
        subject=f"{description.kind} {description.name}",
        distribution=description.distribution,
        reason=reason,
        message=message,
        hint=hint or f"{whom} {description.origin}",
    )
