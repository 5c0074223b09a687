# SPDX-License-Identifier: Apache-2.0
"""The console's own answers: help, and what is known of the server and the session."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmar_runner import __version__
from mmar_runner.console.own_commands import ALIASES, today
from mmar_runner.documents.words import did_you_mean, printable
from mmar_runner.errors import UsageError
from mmar_runner.interfaces.admin_command import Right
from mmar_runner.interfaces.admin_event import Event, Table, Text, Value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mmar_runner.console.session import AdminSession
    from mmar_runner.interfaces.admin_command import CommandSpec, Parameter


def own_answer(
    name: str,
    arguments: Mapping[str, Any],
    specs: Mapping[str, CommandSpec],
    facts: Mapping[str, Any],
) -> list[Event]:
    """Return what the console says to one of its own commands.

    Args:
        name: The command.
        arguments: Its arguments.
        specs: What there is, by name.
        facts: What is known of the session, as `known_of` says it.

    Raises:
        UsageError: COMMAND_UNKNOWN, help is asked about what is not there.
    """
    match name:
        case "lpwd":
            folder = str(Path.cwd())
            return [Text(folder), Value({"folder": folder})]
        case "info":
            rows = [[key.replace("_", " "), str(said)] for key, said in facts.items()]
            return [Table(("", ""), rows, "This session"), Value(facts)]
        case "bye":
            return [Value({})]
        case _ if asked := arguments.get("COMMAND"):
            return help_about(asked, specs)
        case _:
            return help_list(specs)


def help_list(specs: Mapping[str, CommandSpec]) -> list[Event]:
    """Return every command with what it does."""
    rows = [[spec.name, spec.summary] for spec in specs.values()]
    ending = "`help COMMAND` says more of one; COMMAND > FILE writes its answer into a file."
    value = {"commands": [spec.to_json() for spec in specs.values()]}
    return [Table(("command", "does"), rows), Text(ending), Value(value)]


def help_about(name: str, specs: Mapping[str, CommandSpec]) -> list[Event]:
    """Return everything about one command.

    Raises:
        UsageError: COMMAND_UNKNOWN, there is none of that name.
    """
    spec = specs.get(today((name,), specs)[0])
    if spec is None:
        near = did_you_mean(name, (*specs, *ALIASES))
        hint = " ".join(filter(None, (near, "`help` lists what there is")))
        msg = f"there is no command {printable(name)!r}"
        raise UsageError(msg, hint=hint, reason="COMMAND_UNKNOWN")
    events: list[Event] = [Text(f"usage: {spec.usage}"), Text(f"  {spec.summary}")]
    if rows := [_row(one) for one in (*spec.parameters, *spec.after_target)]:
        events.append(Table(("argument", "is"), rows))
    events.append(Text("\n".join(_facts(spec))))
    if spec.examples:
        events.append(Text("\n".join(("for example:", *(f"  {one}" for one in spec.examples)))))
    return [*events, Value({"command": spec.to_json()})]


def known_of(session: AdminSession) -> dict[str, Any]:
    """Return what is known of a session."""
    told = session.admitted
    return {
        "user": session.user,
        "project": told.project,
        "server": session.target,
        "server_version": told.server_version,
        "console_version": __version__,
        "ends_unused_after_seconds": told.idle_seconds,
        "clients": len(told.clients),
        "commands": len(told.specs),
        "kit": str(session.kit_folder),
        "certificate_until": session.certificate_until,
    }


def _row(parameter: Parameter) -> list[str]:
    kind = {"int": "a whole number", "number": "a number"}.get(parameter.kind, "")
    least = "" if parameter.least is None else f"at least {parameter.least:g}"
    often = "one or more" if parameter.many else ""
    left_out = "may be left out" if parameter.optional else ""
    said = ", ".join(filter(None, (parameter.summary, kind, least, often, left_out)))
    return [parameter.name, said or "a word"]


def _facts(spec: CommandSpec) -> list[str]:
    right = "deploy and train" if spec.right == Right.RUN else spec.right
    lines = [f"right: {right or 'none is needed'}"]
    if spec.right:
        lines[0] += " (at every target; `show_rights` lists who has it)"
    if spec.destructive:
        lines.append("it is asked about before it is done")
    older = [name for name, now in ALIASES.items() if now == spec.name]
    return [*lines, f"also known as: {', '.join(older)}"] if older else lines
