# SPDX-License-Identifier: Apache-2.0
"""``plugins list|show|doctor``: what is installed, what it takes, what is wrong with it."""

from __future__ import annotations

import difflib
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mmar_runner.cli.groups import Group
from mmar_runner.cli.options import plugins_dir_option
from mmar_runner.cli.output import Invocation, echo_hint, echo_json, echo_sentence, json_option, say
from mmar_runner.cli.views.argument_words import argument_rows, facts, unnamed_arguments
from mmar_runner.cli.views.compatibility import compatibility_page, compatibility_rows
from mmar_runner.cli.views.component_reference import component_page
from mmar_runner.cli.views.tables import table, wrapped
from mmar_runner.documents.words import counted
from mmar_runner.errors import ComponentNotFoundError, PluginConflictError
from mmar_runner.hooks import LoadedPlugins, load_plugins
from mmar_runner.interfaces.catalog import ComponentDescription, ComponentKind
from mmar_runner.mmar.components.bundled import bundled_hint

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mmar_runner.hooks.doctor import Problem


@click.group("plugins", cls=Group)
def command() -> None:
    """List, show and diagnose installed components.

    MMAR_RUNNER_PLUGINS, a comma-separated list of distributions or entry points, loads
    exactly those; empty loads none.
    """


@command.command("list")
@click.option(
    "--kind", type=click.Choice([str(k) for k in ComponentKind]), help="Only of this kind."
)
@plugins_dir_option
@json_option
@click.pass_context
def list_components(
    ctx: click.Context, kind: str | None, plugins_dir: Path | None, as_json: bool
) -> None:
    """List every registered component; nothing is imported for it.

    Exit code 1 if MMAR_RUNNER_PLUGINS names what is not installed.
    """
    plugins = load_plugins(plugins_dir=plugins_dir)
    chosen = [d for d in plugins.registry.descriptions() if kind in {None, str(d.kind)}]
    if kind is not None:
        chosen += plugins.registry.tabled_descriptions(ComponentKind(kind))
    # Other defects are whose they are; this one is in the words of whoever calls.
    absent = [failure for failure in plugins.failures if failure.reason == "PLUGIN_ABSENT"]
    if as_json:
        echo_json(_listing(plugins, chosen))
        ctx.exit(1 if absent else 0)
    rows = [(d.kind, d.name, d.origin, d.summary) for d in chosen]
    say(*table(("KIND", "NAME", "FROM", "SUMMARY"), rows).split("\n"))
    for other in ComponentKind if kind is None else ():
        if names := plugins.registry.tabled(other):
            say(f"and {counted(len(names), 'name')} of the kind {other}: see --kind {other}")
    if not chosen:
        say(f"no {kind or 'component'} is installed", err=True)
        echo_hint("install a plugin, or give the folder of a one-file plugin with --plugins-dir")
    wrong = len(plugins.failures) + len(plugins.registry.conflicts()) - len(absent)
    for failure in absent:
        echo_sentence(failure.reason, failure.message)
        echo_hint(failure.hint or "")
    if wrong:
        found = counted(wrong, "problem")
        say("", f"{found}: see `{plugins.registry.doctor}`", err=True)
    ctx.exit(1 if absent else 0)


@command.command("show")
@click.argument("name")
@plugins_dir_option
@json_option
def show(name: str, plugins_dir: Path | None, as_json: bool) -> None:
    """Show what NAME (a name, an alias or a class path) is and which arguments it takes."""
    plugins = load_plugins(plugins_dir=plugins_dir)
    found = _find(plugins, name)
    if as_json:
        echo_json({"components": [_full(d) for d in found]})
        return
    say(*"\n\n".join(_described(d) for d in found).split("\n"))


@command.command("reference")
@plugins_dir_option
@json_option
def reference(plugins_dir: Path | None, as_json: bool) -> None:
    """Print a page of Markdown about every component: arguments, memory, tags, paper."""
    registry = load_plugins(plugins_dir=plugins_dir).registry
    found, tabled = registry.descriptions(), registry.tabled_descriptions()
    if as_json:
        echo_json({"components": [_full(d) for d in (*found, *tabled)]})
        return
    say(*component_page(found, tabled).split("\n"))


@command.command("compatibility")
@plugins_dir_option
@json_option
def compatibility(plugins_dir: Path | None, as_json: bool) -> None:
    """Print a page of Markdown about older archives: which names work, and how.

    As JSON it is the names of federated configurations.
    """
    if as_json:
        echo_json({"names": compatibility_rows()})
        return
    registry = load_plugins(plugins_dir=plugins_dir).registry
    found = [*registry.descriptions(), *registry.tabled_descriptions()]
    say(*compatibility_page(found).split("\n"))


@command.command("kind")
@click.argument("kind", type=click.Choice([str(k) for k in ComponentKind]), metavar="KIND")
@json_option
def show_kind(kind: str, as_json: bool) -> None:
    """Show what a component of KIND must be: its interface, as its classes stand."""
    # Imports every interface; `list` and `show` stay quick without.
    from mmar_runner.cli.views.interface_view import interface_page  # noqa: PLC0415

    page = interface_page(ComponentKind(kind))
    if as_json:
        echo_json(asdict(page))
        return
    if page.interface:
        say(f"{kind}: derive from {page.interface}")
        say(f"held to it by mmar_runner.testing.contracts.{page.suite}", "")
    say(*page.text.split("\n"))


@command.command("doctor")
@plugins_dir_option
@json_option
@click.pass_context
def doctor(ctx: click.Context, plugins_dir: Path | None, as_json: bool) -> None:
    """Import every component and report what is wrong, with cause and mend.

    Exit code 1 if there is any problem; a warning is none.
    """
    # Examining imports all of jsonschema; `list` and `show` stay quick without.
    from mmar_runner.hooks.doctor import advise, diagnose  # noqa: PLC0415

    plugins = load_plugins(plugins_dir=plugins_dir)
    problems, warnings = diagnose(plugins), advise(plugins)
    checked = len(plugins.registry.descriptions())
    if as_json:
        told = {"problems": problems, "warnings": warnings}
        lists = {key: [asdict(one) for one in found] for key, found in told.items()}
        echo_json({"ok": not problems, "components": checked, **lists})
    else:
        verbose = bool(ctx.ensure_object(Invocation).verbose)
        for one in (*problems, *warnings):
            say(*_reported(one, verbose=verbose, warning=one in warnings).split("\n"))
        loaded = len(plugins.plugins)
        counts = [(loaded, "plugin"), (checked, "component"), (len(problems), "problem")]
        counts += [(len(warnings), "warning")] if warnings else []
        say(", ".join(counted(number, noun) for number, noun in counts))
    ctx.exit(1 if problems else 0)


def _find(plugins: LoadedPlugins, name: str) -> Sequence[ComponentDescription]:
    found, conflict = [], None
    for kind in ComponentKind:
        try:
            description = plugins.registry.find(kind, name)
        except PluginConflictError as error:
            conflict = error
            continue
        if description is not None:
            found.append(description)
    if not found and conflict is not None:
        raise conflict
    if not found:
        raise _not_found(plugins, name)
    return found


def _not_found(plugins: LoadedPlugins, name: str) -> ComponentNotFoundError:
    registry = plugins.registry
    names = sorted({d.name for d in registry.descriptions()})
    names += [name for kind in ComponentKind for name in registry.tabled(kind)]
    bundled = next(filter(None, (bundled_hint(kind, name) for kind in ComponentKind)), None)
    close = difflib.get_close_matches(name, names, n=1)
    near = f"did you mean {close[0]!r}?" if close else "`mmar-runner plugins list` shows all"
    hint = f"{bundled[0].lower()}{bundled[1:].rstrip('.')}" if bundled else near
    return ComponentNotFoundError(f"no component {name!r} is installed", hint=hint)


def _listing(
    plugins: LoadedPlugins, chosen: Sequence[ComponentDescription]
) -> Mapping[str, object]:
    keys = ("kind", "name", "distribution", "version", "summary", "aliases", "path_prefix")
    failures = [asdict(f) for f in plugins.failures]
    for failure in failures:
        del failure["traceback"]
    return {
        "plugins": [asdict(p) for p in plugins.plugins],
        "components": [{k: v for k, v in _full(d).items() if k in keys} for d in chosen],
        "broken": failures,
        "conflicts": [
            {"kind": c.kind, "name": c.name, "distributions": [d.distribution for d in c.claims]}
            for c in plugins.registry.conflicts()
        ],
    }


def _full(description: ComponentDescription) -> dict[str, Any]:
    return asdict(description)


def _described(description: ComponentDescription) -> str:
    lines = [f"{description.name}  ({description.kind}, from {description.origin})"]
    if description.summary:
        lines += [wrapped(description.summary, indent=2)]
    lines += [wrapped(f"{label}: {words}", indent=2) for label, words in facts(description)]
    if description.aliases:
        lines += ["", "Also known as", *(f"  {alias}" for alias in description.aliases)]
    lines += ["", "Arguments", _arguments(description.args_schema)]
    return "\n".join(lines)


def _arguments(schema: Mapping[str, Any]) -> str:
    rows = argument_rows(schema)
    if not rows:
        return f"  {unnamed_arguments(schema)}"
    return table(("NAME", "TYPE", "DEFAULT", "DESCRIPTION"), rows, indent=2)


def _reported(problem: Problem, *, verbose: bool, warning: bool) -> str:
    lead = "warning: " if warning else ""
    lines = [f"{lead}{problem.subject} ({problem.distribution or 'not installed'})"]
    lines.append(wrapped(problem.message, indent=2))
    if problem.hint:
        lines.append(wrapped(f"mend: {problem.hint}", indent=2))
    if verbose and problem.traceback:
        lines.append(problem.traceback.rstrip())
    return "\n".join([*lines, ""])
