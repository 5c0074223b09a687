# SPDX-License-Identifier: Apache-2.0
"""A typed line becomes a call: words, arguments, whom it is addressed to.

There is no shell in it: quotes hold words together, and nothing else has a meaning.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.documents.words import did_you_mean, printable
from mmar_runner.errors import UsageError
from mmar_runner.interfaces.admin_command import CommandCall, TargetKind, Targets

if TYPE_CHECKING:
    from mmar_runner.interfaces.admin_command import CommandSpec, Parameter

#: Whom words name that stand where a client's name could.
_WORDS = frozenset({"server", "client", "all"})
#: The largest number that can be typed, such as a run's: its folder has nine digits at most.
LARGEST: Final = 999_999_999
#: How numbers are written: a run's number, or seconds.
_NUMBERS = {
    "int": re.compile(r"-?[0-9]{1,12}"),
    "number": re.compile(r"-?[0-9]{1,12}(\.[0-9]{0,12})?"),
}
#: Letters of a word that an error shows.
_SHOWN = 60


def split(line: str) -> list[str]:
    """Return the words of a line; quotes hold words together.

    Raises:
        UsageError: A quote is not closed.
    """
    lexer = shlex.shlex(line, posix=True, punctuation_chars=False)
    lexer.whitespace_split, lexer.commenters, lexer.escape = True, "", ""
    try:
        return list(lexer)
    except ValueError as error:
        msg = f"{printable(line)!r}: a quote is not closed"
        raise UsageError(msg, hint="put words with blanks between two equal quotes") from error


def understood(words: Sequence[str], specs: Mapping[str, CommandSpec], user: str) -> CommandCall:
    """Return the call that words make.

    Args:
        words: The command and what follows it.
        specs: What there is, by name.
        user: Who says it.

    Raises:
        UsageError: There is no such command (COMMAND_UNKNOWN), or its arguments are not
            what it takes.
    """
    name, *rest = words
    spec = specs.get(name)
    if spec is None:
        near = did_you_mean(name, specs)
        hint = " ".join(filter(None, (near, "`help` lists what there is")))
        msg = f"there is no command {printable(name)!r}"
        raise UsageError(msg, hint=hint, reason="COMMAND_UNKNOWN")
    taken = _Words(spec, rest)
    arguments = taken.arguments(spec.parameters)
    targets, after = _targets(spec, taken)
    free = taken.all() if spec.free else ()
    taken.require_end()
    return CommandCall(spec, user, targets, {**arguments, **after}, tuple(free))


def _targets(spec: CommandSpec, taken: _Words) -> tuple[Targets, dict[str, Any]]:
    match spec.targets:
        case TargetKind.NONE:
            return Targets(server=True), {}
        case TargetKind.SERVER:
            taken.skip("server")
            return Targets(server=True), {}
        case TargetKind.ONE:
            return _one(spec, taken), {}
        case _:
            return _several(spec, taken)


def _one(spec: CommandSpec, taken: _Words) -> Targets:
    word = taken.word("server, or a client's name")
    if word == "client":
        word = taken.word("a client's name")
    if word == "all":
        raise wrong(spec, "is for one target at a time, not for all")
    return Targets(server=True) if word == "server" else Targets(clients=(word,))


def _several(spec: CommandSpec, taken: _Words) -> tuple[Targets, dict[str, Any]]:
    both = spec.targets is TargetKind.ANY
    word = taken.word("server, client or all" if both else "client")
    if word == "client":
        after = taken.arguments(spec.after_target)
        names = tuple(taken.all())
        for name in names:
            if name in _WORDS:
                raise wrong(spec, f"{name!r} stands where a client's name should")
        if len(set(names)) < len(names):
            raise wrong(spec, "names a client twice")
        return Targets(clients=names, all_clients=not names), after
    if both and word == "server":
        return Targets(server=True), {}
    if both and word == "all":
        return Targets(server=True, all_clients=True), {}
    allowed = "server, client or all" if both else "client"
    raise wrong(spec, f"is addressed to {allowed}, not to {printable(word)!r}")


class _Words:
    """What is left of a line."""

    def __init__(self, spec: CommandSpec, words: Sequence[str]) -> None:
        self._spec = spec
        self._left = list(words)

    def word(self, what: str) -> str:
        if not self._left:
            raise wrong(self._spec, f"lacks {what}")
        return self._left.pop(0)

    def skip(self, word: str) -> None:
        if self._left[:1] == [word]:
            self._left.pop(0)

    def all(self) -> list[str]:
        left, self._left = self._left, []
        return left

    def arguments(self, parameters: Sequence[Parameter]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for parameter in parameters:
            if parameter.optional and not self._left:
                break
            if parameter.many:
                found[parameter.name] = [self._value(parameter, w) for w in self.all()]
            else:
                found[parameter.name] = self._value(parameter, self.word(parameter.name))
        return found

    def require_end(self) -> None:
        if self._left:
            raise wrong(self._spec, f"does not take {printable(self._left[0])!r}")

    def _value(self, parameter: Parameter, word: str) -> Any:
        if parameter.kind == "word":
            return word
        # Written as people write numbers: no 1_000, no inf, no digits of other scripts.
        if not _NUMBERS[parameter.kind].fullmatch(word):
            noun = "a whole number" if parameter.kind == "int" else "a number"
            raise wrong(self._spec, f"{parameter.name} is {noun}, not {printable(word[:_SHOWN])!r}")
        value = int(word) if parameter.kind == "int" else float(word)
        if value > LARGEST:
            raise wrong(self._spec, f"{parameter.name} is at most {LARGEST}")
        if parameter.least is not None and not value >= parameter.least:
            raise wrong(self._spec, f"{parameter.name} is at least {parameter.least:g}")
        return value


def wrong(spec: CommandSpec, what: str) -> UsageError:
    """Return the error about arguments that a command does not take."""
    return UsageError(f"{spec.name}: {what}", hint=f"usage: {spec.usage}")
