# SPDX-License-Identifier: Apache-2.0
"""Builds the components that live in the server process."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmar_runner.documents.words import counted
from mmar_runner.errors import NotAuthorizedError, PluginError, RunFailedError
from mmar_runner.federation.scatter_and_gather import ScatterAndGather
from mmar_runner.hooks.components import blueprint, build_component
from mmar_runner.interfaces.aggregator import TensorwiseAggregator
from mmar_runner.interfaces.companions import SORTS
from mmar_runner.interfaces.entry_points import FACT
from mmar_runner.interfaces.handler import BestModelSelector, Handler
from mmar_runner.interfaces.result_processor import ResultProcessor
from mmar_runner.interfaces.workflow import Workflow
from mmar_runner.server.components.exclusion import expressions
from mmar_runner.server.components.results import by_topic
from mmar_runner.server.components.stand import Stand
from mmar_runner.storage.codec_names import NONE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mmar_runner.interfaces.catalog import ComponentCatalog
    from mmar_runner.mmar.spec import ComponentSpec, ServerSpec


class ServerComponents:
    """The components that one MMAR declares for the server process.

    ``versions`` holds the distributions they come from, and the names of files: they are part of
    what a run is.
    ``expressions`` holds what the aggregator may look for in the names of tensors, and
    ``companions`` which tensors it wants beside those of the model. ``aggregates_in_child`` says
    that the rule wants whole updates: then it lives in a child, and here something stands for it.

    Args:
        server: What the MMAR declares.
        catalog: What is installed.
        allowed: The class paths that the policy allows, as prefixes; None without one.
        runs_own_code: Whether code of the MMAR may run in the server's children.

    Raises:
        PluginError: One of them cannot be built, or two result processors claim one topic.
        NotAuthorizedError: COMPONENT_NOT_ALLOWED, the policy does not allow one of them;
            BYOC_NOT_ALLOWED, one of them is code of the MMAR's own that may not run here.
        RunFailedError: One of them is code of the MMAR's own, two select the best model, a
            round may close with fewer updates than the aggregator is defined for, or it
            foresees that the run cannot be done.
    """

    def __init__(
        self,
        server: ServerSpec,
        catalog: ComponentCatalog,
        *,
        allowed: Sequence[str] | None = None,
        runs_own_code: bool = False,
    ) -> None:
        self._catalog = catalog
        self._allowed = allowed
        self.versions: dict[str, str] = {}
        self.aggregates_in_child = self._wants_whole(server.aggregator)
        self.aggregator: TensorwiseAggregator = (
            self._stand(server.aggregator, runs_own_code=runs_own_code)
            if self.aggregates_in_child
            else self._build(server.aggregator, TensorwiseAggregator)
        )
        update_codec(server.update_codec, self.aggregator)  # a conflict leaves no run behind
        declared = server.aggregator
        self.expressions = tuple(expressions(catalog, declared.kind, declared.declaration))
        self.companions = wanted_companions(catalog, declared)
        self.workflow: Any = ScatterAndGather()
        if server.workflow is not None:
            self.workflow = self._build(server.workflow, Workflow)
        _require_enough(self.aggregator, server.min_num_clients, turns=self.workflow.takes_turns)
        self.aggregator.foresee(server.start_round, server.num_rounds)
        self.handlers: list[Handler] = [self._build(h, Handler) for h in server.handlers]
        self.processors: list[ResultProcessor] = [
            self._build(p, ResultProcessor) for p in server.result_processors
        ]
        by_topic(self.processors)  # two that claim one topic leave no run behind
        self.selector = _only_selector(self.handlers)
        for one in server.inbound_filters:
            self._require_readable(one)
        for starter in (server.model_persistor, server.model_validator):
            self._require_commands(starter, runs_own_code=runs_own_code)
        for one in (*server.inbound_filters, *server.outbound_filters):
            self._require_filter(one, runs_own_code=runs_own_code)

    def _build(self, spec: ComponentSpec, expected: type[Any]) -> Any:
        if spec.byoc:
            msg = f"{spec.name} is code that came in the MMAR, and the server runs none of it"
            hint = "install it as a plugin on the server"
            raise RunFailedError(msg, hint=hint, reason="BYOC")
        self._note_version(spec)
        try:
            return build_component(
                self._catalog, spec.kind, spec.declaration, expected, allowed=self._allowed
            )
        except PluginError as error:
            said = (error.hint, f"it is declared in {spec.place}; -v shows where it raised")
            error.hint = "; ".join(filter(None, said))
            raise

    def _require_readable(self, spec: ComponentSpec) -> None:
        """Let no filter work on updates that are masked.

        Raises:
            RunFailedError: CONFLICT.
        """
        if self.aggregator.takes is not None:
            msg = f"updates are masked, and {spec.name} would change them ({spec.place})"
            hint = "declare it on the client's side, before the filter that masks"
            raise RunFailedError(msg, hint=hint, reason="CONFLICT")

    def _require_filter(self, spec: ComponentSpec, *, runs_own_code: bool) -> None:
        """See that a filter is there and may run; it will, in a child.

        Raises:
            PluginError: It is not installed.
            NotAuthorizedError: The policy does not allow it, or code of the MMAR's own may not run.
        """
        if spec.byoc:
            _require_own_code(spec, runs_own_code=runs_own_code)
        else:
            blueprint(self._catalog, spec.kind, spec.declaration, allowed=self._allowed)
        self._note_version(spec)

    def _require_commands(self, spec: ComponentSpec | None, *, runs_own_code: bool) -> None:
        """See that a component which starts commands of the MMAR may.

        Raises:
            NotAuthorizedError: BYOC_NOT_ALLOWED.
        """
        found = None if spec is None else self._catalog.find(spec.kind, _registered(spec))
        if spec is not None and found is not None and FACT in found.extras and not runs_own_code:
            msg = f"{spec.name} starts commands of the MMAR, which are code ({spec.place})"
            hint = "read them; --allow-byoc lets them run, in processes of their own"
            raise NotAuthorizedError(msg, reason="BYOC_NOT_ALLOWED", hint=hint)

    def _note_version(self, spec: ComponentSpec) -> None:
        found = self._catalog.find(spec.kind, _registered(spec))
        if found is not None:
            # A file is what it holds, wherever it lies and however its path was typed.
            name = Path(found.distribution).name if found.of_file else found.distribution
            self.versions[name] = found.version

    def _wants_whole(self, spec: ComponentSpec) -> bool:
        found = self._catalog.find(spec.kind, _registered(spec))
        return found is not None and bool(found.extras.get("whole_updates"))

    def _stand(self, spec: ComponentSpec, *, runs_own_code: bool) -> Stand:
        """Return what stands here for a rule in a child, which may not be allowed to run.

        Raises:
            NotAuthorizedError: BYOC_NOT_ALLOWED.
        """
        if spec.byoc:
            _require_own_code(spec, runs_own_code=runs_own_code)
        self._note_version(spec)
        return Stand()


def _require_own_code(spec: ComponentSpec, *, runs_own_code: bool) -> None:
    if not runs_own_code:
        msg = f"{spec.name} is code that came in the MMAR ({spec.place})"
        hint = "read that code; --allow-byoc lets it run, in a child process of the server"
        raise NotAuthorizedError(msg, reason="BYOC_NOT_ALLOWED", hint=hint)


def _registered(spec: ComponentSpec) -> str:
    """Return by which name the catalog knows a component; people may call it otherwise."""
    declared = spec.declaration
    return str(declared.get("path") or declared.get("name"))


def wanted_companions(catalog: ComponentCatalog, aggregator: ComponentSpec) -> tuple[str, ...]:
    """Return what companions an aggregator wants.

    Raises:
        RunFailedError: There are no such.
    """
    found = catalog.find(aggregator.kind, _registered(aggregator))
    wanted = tuple(() if found is None else found.extras.get("companions", ()))
    if unknown := sorted(set(wanted) - SORTS):
        msg = f"{aggregator.name} wants companions that there are not: {', '.join(unknown)}"
        hint = f"its plugin may ask for: {', '.join(sorted(SORTS))}"
        raise RunFailedError(msg, hint=hint, reason="COMPANIONS")
    return wanted


def _require_enough(aggregator: TensorwiseAggregator, least: int, *, turns: bool) -> None:
    name, needs = type(aggregator).__name__, counted(aggregator.min_updates, "update")
    if turns and aggregator.min_updates > 1:
        msg = f"{name} needs {needs}, and where one client works at a time a round has one"
        hint = "choose another aggregator, such as FedAvg, or another workflow"
        raise RunFailedError(msg, hint=hint, reason="MIN_UPDATES")
    if least < aggregator.min_updates:
        msg = f"{name} needs {needs}, and a round may close with min_num_clients {least}"
        hint = f"raise min_num_clients to {aggregator.min_updates}, or choose another aggregator"
        raise RunFailedError(msg, hint=hint, reason="MIN_UPDATES")


def update_codec(declared: str, aggregator: TensorwiseAggregator) -> str:
    """Return in which codec updates travel: an aggregator that takes whole numbers says so.

    Args:
        declared: ``update_codec`` of the server's configuration.
        aggregator: The rule.

    Raises:
        RunFailedError: CONFLICT, both say something.
    """
    if aggregator.takes is None:
        return declared
    if declared != NONE:
        name = type(aggregator).__name__
        msg = f"{name} takes whole numbers, and update_codec {declared} would send others"
        hint = "remove update_codec; masked updates are as short as they can be"
        raise RunFailedError(msg, hint=hint, reason="CONFLICT")
    return aggregator.takes.lower()


def _only_selector(handlers: list[Handler]) -> BestModelSelector | None:
    selectors = [handler for handler in handlers if isinstance(handler, BestModelSelector)]
    if len(selectors) > 1:
        names = ", ".join(type(selector).__name__ for selector in selectors)
        msg = f"more than one handler selects the best model: {names}"
        raise RunFailedError(msg, hint="declare only one of them", reason="CONFLICT")
    return selectors[0] if selectors else None
