# SPDX-License-Identifier: Apache-2.0
"""One configuration file on its way from text to canonical form.

Substitution and upgrade change the value; a document remembers where every part
came from, so that a finding always points at the file as its author wrote it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from mmar_runner.documents.json_source import JsonPath, JsonSource

#: A variable in a text.
VARIABLE: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_SHOWN: Final = 60


@dataclass(frozen=True, slots=True)
class TextPart:
    """A part of a text whose variables were replaced.

    Attributes:
        text: The part as it is now.
        of_site: True if a setting of the site gave all of it.
    """

    text: str
    of_site: bool = False


@dataclass(slots=True)
class Document:
    """A parsed configuration file.

    Attributes:
        file: Path relative to the MMAR's root, with forward slashes.
        source: The text and its positions.
        value: The value as it stands now: substituted, then upgraded.
        moves: Where a part of ``value`` stood in the file, by its present path.
        unresolved: Paths (in the file) of strings that hold an undefined variable.
        substituted: Names of variables, by path (in the file) of strings that were
            nothing else.
        defined_at: In words where variables were defined that other files define.
        own: Names of variables that the file's own top level defines, and nothing stronger.
        site_parts: What strings (by path in the file) were put together from, if a
            setting of the site is among it.
        idle: Pointers (in the file) of what nobody reads, with all that it holds.
    """

    file: str
    source: JsonSource
    value: dict[str, Any]
    moves: dict[JsonPath, JsonPath] = field(default_factory=dict)
    unresolved: set[JsonPath] = field(default_factory=set)
    substituted: dict[JsonPath, str] = field(default_factory=dict)
    defined_at: Mapping[str, str] = field(default_factory=dict)
    own: frozenset[str] = frozenset()
    site_parts: dict[JsonPath, tuple[TextPart, ...]] = field(default_factory=dict)
    idle: set[str] = field(default_factory=set)

    def origin(self, path: JsonPath) -> JsonPath:
        """Return where a part of the present value stands in the file."""
        for length in range(len(path), 0, -1):
            moved = self.moves.get(path[:length])
            if moved is not None:
                return (*moved, *path[length:])
        return path

    def words(self, path: JsonPath) -> str:
        """Return a present place as people write it: ``config/config_train.json:12``."""
        line, _ = self.source.locate(self.origin(path))
        return f"{self.file}:{line}"

    def is_idle(self, pointer: str) -> bool:
        """Return True if nobody reads what stands at a pointer in the file."""
        return bool(self.idle) and any(
            around in self.idle for around in accumulate(pointer.split("/"), "{}/{}".format)
        )

    def in_doubt(self, origin: JsonPath) -> bool:
        """Return True if the value there, or around it, could not be read."""
        doubtful = self.source.doubtful
        return bool(doubtful) and any(origin[:n] in doubtful for n in range(len(origin) + 1))

    def is_unresolved(self, path: JsonPath) -> bool:
        """Return True if the value at a present path holds an undefined variable."""
        return self.origin(path) in self.unresolved

    def variable_at(self, path: JsonPath) -> str | None:
        """Return what the value at a present path comes from, the same for every such place.

        That is a variable of another file or, with the file's name, one of its own; None if
        it is neither.
        """
        name = self.substituted.get(self.origin(path))
        if name in self.defined_at:
            return name
        return f"{self.file}:{name}" if name in self.own else None

    def explain(self, path: JsonPath, hint: str | None, *, of_type: bool = False) -> str | None:
        """Return a hint, with the variable that the value at a present path came from.

        Args:
            path: The place.
            hint: How to mend the value, if it stands there itself.
            of_type: The value has a wrong type, which is that of a text if something stands
                beside a variable.
        """
        name = self.substituted.get(self.origin(path))
        if name is None:
            return (self._beside(path) if of_type else None) or hint
        place = self.defined_at.get(name)
        if name in self.own:
            place = f"{self.file}, line {self.source.locate((name,))[0]}"
        where = f" ({place})" if place else ""
        source = f"The value comes from the variable {{{name}}}{where}."
        return f"{source} {hint}" if hint else source

    def _beside(self, path: JsonPath) -> str | None:
        """Return a hint if more than a variable stands in the file at a present path."""
        written: Any = self.source.value
        for part in self.origin(path):
            try:
                written = written[part]
            except (KeyError, IndexError, TypeError):
                return None
        found = VARIABLE.search(written) if isinstance(written, str) else None
        if found is None or found[0] == written:
            return None
        shown = f'In the file stands "{written}"' if len(written) <= _SHOWN else "This is a text"
        return f'{shown}: a variable is written "{found[0]}", with nothing beside it.'

    def get(self, path: JsonPath, default: Any = None) -> Any:
        """Return the present value at a path, or the default."""
        value: Any = self.value
        for part in path:
            try:
                value = value[part]
            except (KeyError, IndexError, TypeError):
                return default
        return value
