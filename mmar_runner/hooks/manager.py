# SPDX-License-Identifier: Apache-2.0
"""Loading plugins: each on its own, so that a broken one takes nobody down."""

from __future__ import annotations

import shlex
import traceback
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

from mmar_runner.errors import PluginError, PluginLoadError
from mmar_runner.hooks import specs
from mmar_runner.hooks.discovery import Candidate, allow_list, in_folder, installed, names_of
from mmar_runner.hooks.markers import HOOK_PREFIX, PROJECT_NAME
from mmar_runner.hooks.registrar import Origin, Registrar
from mmar_runner.hooks.registry import ComponentRegistry, PluginFailure

if TYPE_CHECKING:
    from mmar_runner.interfaces.handler import RunEvent


@dataclass(frozen=True, slots=True)
class PluginInfo:
    """A plugin in force.

    Attributes:
        name: Its name.
        distribution: The distribution, or the file, it came from.
        version: That distribution's version; of a file, the sha256 of its content.
        source: ``built-in``, ``installed`` or ``file``.
    """

    name: str
    distribution: str
    version: str
    source: str


class LoadedPlugins:
    """The plugins of one command: a pluggy manager and what they registered."""

    def __init__(self) -> None:
        self.manager = new_manager()
        self.registry = ComponentRegistry()
        self._plugins: list[PluginInfo] = []

    @property
    def plugins(self) -> Sequence[PluginInfo]:
        """The plugins in force, in load order."""
        return tuple(self._plugins)

    @property
    def failures(self) -> Sequence[PluginFailure]:
        """The plugins that could not be loaded, by name."""
        return self.registry.failures

    def load(self, candidate: Candidate) -> None:
        """Load one plugin; if it fails, record why and leave no trace of it."""
        try:
            plugin = _imported(candidate)
            registrar = self._registered(candidate, plugin)
        except PluginError as error:
            self.registry.record_failure(_failure(candidate, error))
            return
        self.registry.accept(registrar)
        self._plugins.append(
            PluginInfo(candidate.name, candidate.distribution, candidate.version, candidate.source)
        )

    def notify(self, event: RunEvent) -> Sequence[PluginFailure]:
        """Give an event to every plugin's ``mmar_on_event``; return those that raised."""
        failures = []
        for info in self._plugins:
            try:
                self._call(info.name, "mmar_on_event", event=event)
            except PluginError as error:
                failures.append(_failure(info, error))
        return failures

    def _registered(self, candidate: Candidate, plugin: Any) -> Registrar:
        check_hooks(plugin)
        self.manager.register(plugin, name=candidate.name)
        module = getattr(plugin, "__name__", "")
        origin = Origin(candidate.name, candidate.distribution, candidate.version, module)
        registrar = Registrar(origin)
        try:
            self._call(candidate.name, "mmar_register_components", registry=registrar)
        except PluginError:
            self.manager.unregister(name=candidate.name)
            raise
        return registrar

    def _call(self, name: str, hook: str, **arguments: Any) -> None:
        others = [p for n, p in self.manager.list_name_plugin() if n != name]
        caller = self.manager.subset_hook_caller(hook, remove_plugins=others)
        try:
            caller(**arguments)
        except PluginError:
            raise
        except (Exception, SystemExit) as error:  # one that leaves would take its caller along
            message = f"{hook} failed: {type(error).__name__}: {error}"
            raise PluginLoadError(message) from error


def load_plugins(
    *, plugins_dir: Path | None = None, allow: Collection[str] | None = None
) -> LoadedPlugins:
    """Load the built-in plugin, the allowed installed ones and those of a folder.

    Args:
        plugins_dir: A folder of one-file plugins, or None.
        allow: Names of entry points or distributions to load, exactly; empty loads
            none. None means ``MMAR_RUNNER_PLUGINS``, and all if that is not set.

    Raises:
        UsageError: There is no such folder.
    """
    # The built-in plugin imports the markers of this package, as any other does.
    from mmar_runner import __version__  # noqa: PLC0415
    from mmar_runner.hooks import builtin  # noqa: PLC0415

    loaded = LoadedPlugins()
    own = Candidate("builtin", "mmar-runner", __version__, "built-in", lambda: builtin)
    allowed = allow_list(allow)
    candidates = [own, *installed(allowed)]
    if plugins_dir is not None:
        candidates += in_folder(plugins_dir)
        loaded.registry.doctor += f" --plugins-dir {shlex.quote(str(plugins_dir))}"
        loaded.registry.installed = load_plugins(allow=allow).registry
    _record_absent(loaded.registry, allowed, candidates)
    for candidate in _without_duplicates(loaded.registry, candidates):
        loaded.load(candidate)
    return loaded


def new_manager() -> pluggy.PluginManager:
    """Return a new pluggy manager that knows every hook and no plugin."""
    manager = pluggy.PluginManager(PROJECT_NAME)
    manager.add_hookspecs(specs)
    return manager


def check_hooks(plugin: Any) -> None:
    """Check a plugin's hooks: known names, known arguments, none without a marker.

    Raises:
        PluginLoadError: Something is misspelt, or the plugin implements no hook.
    """
    manager = new_manager()
    try:
        manager.register(plugin)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        known = ", ".join(sorted(n for n in vars(specs) if n.startswith(HOOK_PREFIX)))
        message = f"a hook is misspelt or takes unknown arguments: {error}"
        raise PluginLoadError(message, hint=f"hooks are {known}") from error
    implemented = {c.name for c in manager.get_hookcallers(plugin) or ()}
    unmarked = [n for n in dir(plugin) if n.startswith(HOOK_PREFIX) and n not in implemented]
    if unmarked:
        message = f"{unmarked[0]} is not marked as a hook"
        raise PluginLoadError(message, hint="put @hookimpl above it")
    if not implemented:
        message = "it implements no hook"
        raise PluginLoadError(message, hint="add @hookimpl def mmar_register_components(registry)")


def _imported(candidate: Candidate) -> Any:
    try:
        return candidate.load()
    except (Exception, SystemExit) as error:
        message = f"it cannot be imported: {type(error).__name__}: {error}"
        where = ""
        if candidate.source == "file":
            where = f" --plugins-dir {shlex.quote(str(Path(candidate.distribution).parent))}"
        hint = f"`mmar-runner -v plugins doctor{where}` shows the traceback"
        raise PluginLoadError(message, hint=hint) from error


def _without_duplicates(
    registry: ComponentRegistry, candidates: Sequence[Candidate]
) -> Sequence[Candidate]:
    counts = Counter(c.name for c in candidates)
    for name in sorted(n for n, count in counts.items() if count > 1):
        sources = sorted(c.distribution for c in candidates if c.name == name)
        registry.record_failure(
            PluginFailure(
                plugin=name,
                distribution=" and ".join(sources),
                reason="PLUGIN_CONFLICT",
                message=f"plugin name {name!r} is claimed by {' and '.join(sources)}",
                hint="uninstall one of them, or rename its entry point or file",
            )
        )
    return [c for c in candidates if counts[c.name] == 1]


def _record_absent(
    registry: ComponentRegistry, allowed: frozenset[str] | None, candidates: Sequence[Candidate]
) -> None:
    present = frozenset[str]().union(*(names_of(c) for c in candidates))
    for name in sorted((allowed or frozenset()) - present):
        registry.record_failure(
            PluginFailure(
                plugin=name,
                distribution="",
                reason="PLUGIN_ABSENT",
                message=f"the list of allowed plugins names {name!r}, which is not installed",
                hint="install it, or take it from MMAR_RUNNER_PLUGINS",
            )
        )


def _failure(candidate: Candidate | PluginInfo, error: PluginError) -> PluginFailure:
    return PluginFailure(
        plugin=candidate.name,
        distribution=candidate.distribution,
        reason=error.reason,
        message=error.message,
        hint=error.hint,
        traceback="".join(traceback.format_exception(error)),
    )
