# SPDX-License-Identifier: Apache-2.0
"""What Tab offers: the words that can stand where the cursor is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mmar_runner.console.own_commands import today
from mmar_runner.documents.words import printable
from mmar_runner.interfaces.admin_command import Right, TargetKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mmar_runner.console.known import KnownNames
    from mmar_runner.interfaces.admin_command import CommandSpec, Parameter

#: Entries of a folder that are looked at.
_MOST_ENTRIES: Final = 2000


@dataclass(frozen=True, slots=True)
class Candidate:
    """A word that can stand here.

    Attributes:
        word: The whole word.
        note: What it is, or empty.
        ends: Whether a blank follows it; not after a folder.
    """

    word: str
    note: str = ""
    ends: bool = True


def wanted(before: str, specs: Mapping[str, CommandSpec]) -> str:
    """Return whose names are needed here, ``clients`` or ``mmars``; empty if none are."""
    *words, _ = _words(before)
    if not words:
        return ""
    names = {parameter.name for parameter in _expected(words, specs)}
    if "MMAR" in names:
        return "mmars"
    return "clients" if names & _CLIENTS or _after_target(words, specs) else ""


def candidates(before: str, specs: Mapping[str, CommandSpec], known: KnownNames) -> list[Candidate]:
    """Return what can stand at the end of a line that was begun.

    Args:
        before: The line up to the cursor.
        specs: What there is, by name, the console's own commands too.
        known: Names that the console has heard of.
    """
    *words, begun = _words(before)
    if not words:
        found = [Candidate(spec.name, spec.summary) for spec in specs.values()]
    else:
        found = [*_following(words, begun, specs, known)]
    return [one for one in found if one.word.startswith(begun) and one.word not in words]


def _following(
    words: Sequence[str], begun: str, specs: Mapping[str, CommandSpec], known: KnownNames
) -> Iterator[Candidate]:
    for parameter in _expected(words, specs):
        yield from _values(parameter, begun, specs, known)
    yield from _target(words, specs, known)


def _values(
    parameter: Parameter, begun: str, specs: Mapping[str, CommandSpec], known: KnownNames
) -> list[Candidate]:
    clients = [Candidate(name) for name in known.clients]
    match parameter.name:
        case "COMMAND":
            return [Candidate(spec.name, spec.summary) for spec in specs.values()]
        case "MMAR":
            return [Candidate(name) for name in known.mmars]
        case "FOLDER":
            return _folders(begun)
        case name if name in _CLIENTS:
            return [*_FIXED.get(name, ()), *clients]
        case name:
            return list(_FIXED.get(name, ()))


_CLIENTS: Final = frozenset({"CLIENT", "SITE", "DATA_CLIENT", "MODEL_OWNER"})
#: Words that stand for one argument whatever the federation is.
_FIXED: Final[Mapping[str, Sequence[Candidate]]] = {
    "SITE": (Candidate("server"),),
    "DATA_CLIENT": (Candidate("all"),),
    "RIGHT": tuple(Candidate(right.value) for right in Right if right not in ("", "run")),
    "RULE": (Candidate("allow_byoc"), Candidate("allow_custom_datalist")),
}
_SERVER: Final = Candidate("server")
_CLIENT: Final = Candidate("client", "all clients, or those named")
_ALL: Final = Candidate("all", "the server and all clients")
_TARGETS: Final[Mapping[TargetKind, Sequence[Candidate]]] = {
    TargetKind.ANY: (_SERVER, _CLIENT, _ALL),
    TargetKind.CLIENTS: (_CLIENT,),
    TargetKind.SERVER: (_SERVER,),
    TargetKind.ONE: (_SERVER,),
}


def _target(
    words: Sequence[str], specs: Mapping[str, CommandSpec], known: KnownNames
) -> list[Candidate]:
    clients = [Candidate(name) for name in known.clients] if _after_target(words, specs) else []
    spec = _spec(words, specs)
    if spec is None or len(words) - 1 != len(spec.parameters):
        return clients
    return [*_TARGETS.get(spec.targets, ()), *clients]


def _expected(words: Sequence[str], specs: Mapping[str, CommandSpec]) -> list[Parameter]:
    """Return the parameter that the next word is, if it is one."""
    spec = _spec(words, specs)
    if spec is None:
        return []
    at = len(words) - 1
    if at >= len(spec.parameters) and spec.parameters and spec.parameters[-1].many:
        return [spec.parameters[-1]]
    return list(spec.parameters[at : at + 1])


def _after_target(words: Sequence[str], specs: Mapping[str, CommandSpec]) -> bool:
    """Return True where names of clients follow the word ``client``."""
    spec = _spec(words, specs)
    if spec is None:
        return False
    at = 1 + len(spec.parameters)
    if words[at : at + 1] != ["client"]:
        # One target: its name stands where ``client`` may.
        return spec.targets is TargetKind.ONE and len(words) == at
    several = spec.targets in (TargetKind.ANY, TargetKind.CLIENTS)
    return several and len(words) > at + len(spec.after_target)


def _spec(words: Sequence[str], specs: Mapping[str, CommandSpec]) -> CommandSpec | None:
    return specs.get(today(words, specs)[0])


def _words(before: str) -> list[str]:
    """Return the words of a line that was begun; the last one is what was begun of a word."""
    words = before.split()
    return [*words, ""] if not words or before[-1:].isspace() else words


def _folders(begun: str) -> list[Candidate]:
    head, slash, _ = begun.rpartition("/")
    place = Path(f"{head}{slash}").expanduser() if slash else Path()
    hidden = begun.rpartition("/")[2].startswith(".")
    try:
        entries = [entry for entry, _ in zip(place.iterdir(), range(_MOST_ENTRIES), strict=False)]
        names = sorted(entry.name for entry in entries if entry.is_dir())
    except OSError:
        return []  # nothing can be offered there
    shown = [name for name in names if hidden or not name.startswith(".")]
    return [_folder(f"{head}{slash}", place, name) for name in shown]


def _folder(before: str, place: Path, name: str) -> Candidate:
    is_mmar = (place / name / "config").is_dir()
    return Candidate(f"{before}{printable(name)}", "an MMAR" if is_mmar else "", ends=is_mmar)
