# SPDX-License-Identifier: Apache-2.0
"""What an administrator can order, as data: names, arguments, targets, the right it needs.

A server tells its consoles what it offers in this form, so that completion, help and the
first check of what was typed need no further question.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Literal


class TargetKind(StrEnum):
    """Whom a command can be addressed to."""

    #: The federation as such: the server decides.
    NONE = "none"
    #: ``server``, which may be left out.
    SERVER = "server"
    #: ``server``, ``client [NAME...]`` (all clients without a name) or ``all``.
    ANY = "any"
    #: ``client [NAME...]``.
    CLIENTS = "clients"
    #: ``server``, or the name of one client.
    ONE = "one"


class Right(StrEnum):
    """What somebody must be allowed to do at every target; see ``authorization.json``."""

    #: Whoever is logged in.
    NOBODY = ""
    UPLOAD = "upload"
    DEPLOY = "deploy"
    TRAIN = "train"
    VIEW = "view"
    OPERATE = "operate"
    #: Deploy and train, both.
    RUN = "run"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One argument of a command.

    Attributes:
        name: As help shows it, in capitals.
        kind: ``word`` (text), ``int`` or ``number``.
        optional: Whether it may be left out; only the last ones may.
        many: Whether further words belong to it too; only the last one may.
        least: The smallest number allowed, or None.
        summary: One clause for help.
    """

    name: str
    kind: Literal["word", "int", "number"] = "word"
    optional: bool = False
    many: bool = False
    least: float | None = None
    summary: str = ""


@dataclass(frozen=True, slots=True)
class CommandSpec:
    """One command.

    Attributes:
        name: One word.
        summary: One sentence for help.
        right: Needed at every target; at ``server`` if there is none.
        targets: Whom it can be addressed to.
        parameters: Arguments before the target.
        after_target: Arguments between the word ``client`` and the names.
        free: Whether any words follow the target: flags, files, patterns.
        server_too: Whether the right is needed at ``server`` as well, whoever is addressed.
        destructive: Whether a console asks before it sends it.
        examples: Whole lines, with what they do after a ``#``.
    """

    name: str
    summary: str
    right: Right = Right.VIEW
    targets: TargetKind = TargetKind.NONE
    parameters: tuple[Parameter, ...] = ()
    after_target: tuple[Parameter, ...] = ()
    free: bool = False
    server_too: bool = False
    destructive: bool = False
    examples: tuple[str, ...] = ()

    @property
    def usage(self) -> str:
        """The command with its arguments, on one line."""
        words = [self.name, *map(_shown, self.parameters)]
        after = "".join(f" {_shown(one)}" for one in self.after_target)
        match self.targets:
            case TargetKind.SERVER:
                words.append("[server]")
            case TargetKind.ANY:
                words.append(f"server | client{after} [NAME...] | all")
            case TargetKind.CLIENTS:
                words.append(f"client{after} [NAME...]")
            case TargetKind.ONE:
                words.append("server|CLIENT")
            case TargetKind.NONE:
                pass
        return " ".join([*words, *(["[WORD...]"] if self.free else [])])

    def to_json(self) -> dict[str, Any]:
        """Return it as a console is told."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> CommandSpec:
        """Return what a server told.

        Raises:
            TypeError: A key is missing, or there is one too many.
            ValueError: A word is none of its kind.
        """
        parts = {
            key: tuple(Parameter(**one) for one in value[key])
            for key in ("parameters", "after_target")
        }
        return cls(
            **{
                **value,
                **parts,
                "right": Right(value["right"]),
                "targets": TargetKind(value["targets"]),
                "examples": tuple(value["examples"]),
            }
        )


@dataclass(frozen=True, slots=True)
class Targets:
    """Whom an order is addressed to.

    Attributes:
        server: The server itself.
        clients: Names of clients, or of a client's instances.
        all_clients: Every client that is there, whatever its name.
    """

    server: bool = False
    clients: tuple[str, ...] = ()
    all_clients: bool = False

    def __str__(self) -> str:
        """Return it as it is typed."""
        if self.server and self.all_clients:
            return "all"
        if self.server:
            return "server"
        if self.all_clients or self.clients:
            return " ".join(("client", *self.clients))
        return ""

    def meets(self, client: str) -> bool:
        """Return True if a client is meant."""
        return self.all_clients or client in self.clients


@dataclass(frozen=True, slots=True)
class CommandCall:
    """One command as somebody ordered it, checked against its specification.

    Attributes:
        spec: What it is.
        user: Who ordered it: an e-mail address.
        arguments: Values by the parameters' names; what was left out is missing.
        targets: Whom it is addressed to.
        words: What followed the target, where that is free.
        order: The signed order, as clients get it.
    """

    spec: CommandSpec
    user: str
    targets: Targets
    arguments: Mapping[str, Any] = field(default_factory=dict)
    words: tuple[str, ...] = ()
    order: bytes = field(default=b"", repr=False)


def _shown(parameter: Parameter) -> str:
    name = f"{parameter.name}..." if parameter.many else parameter.name
    return f"[{name}]" if parameter.optional else name
