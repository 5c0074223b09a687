# SPDX-License-Identifier: Apache-2.0
"""A YAML reader that only knows plain data, and where everything stands.

It reads the core of YAML 1.2: mappings, lists, text, numbers, true, false and null. Tags
are refused, since a tag is how YAML asks for code; ``yes``, ``no`` and dates are text, as
they stand there. A repeated key is refused, and an alias costs what it stands for.
"""

from __future__ import annotations

import re
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

import yaml

from mmar_runner.documents.json_source import JsonSource, Problem
from mmar_runner.documents.limits import DEFAULT_LIMITS, ReadingLimits

if TYPE_CHECKING:
    from mmar_runner.documents.json_source import JsonPath

_CODE: Final = "YAML"
_WORDS: Final = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_INTEGER: Final = re.compile(r"[-+]?[0-9]+")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")


class _Stop(Exception):  # noqa: N818 - it ends the reading, it is no error of ours
    """Nothing after this place can be read."""


def read_yaml(text: str, limits: ReadingLimits = DEFAULT_LIMITS) -> JsonSource:
    """Read a YAML text; what is wrong with it stands in the result's ``problems``."""
    source = JsonSource(text)
    try:
        if len(text) > limits.text_bytes:
            _stop(source, f"The file is longer than {limits.text_bytes} characters.", 0)
        node = _compose(source)
        if node is not None:
            source.value = _Reader(source, limits).value(node, (), 1)
    except _Stop:
        source.reliable = False
    return source


class _Loader(
    yaml.reader.Reader,
    yaml.scanner.Scanner,
    yaml.parser.Parser,
    yaml.composer.Composer,
    yaml.resolver.BaseResolver,
):
    """PyYAML's reader as far as a tree of nodes: it constructs no object of any kind."""

    def __init__(self, source: JsonSource) -> None:
        yaml.reader.Reader.__init__(self, source.text)
        yaml.scanner.Scanner.__init__(self)
        yaml.parser.Parser.__init__(self)
        yaml.composer.Composer.__init__(self)
        yaml.resolver.BaseResolver.__init__(self)
        self._source = source

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Refuse a tag, and leave the rest to PyYAML."""
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        tag = getattr(event, "tag", None)
        if tag is not None:
            message = f"The tag {tag!r} is not read here: a file holds plain data only."
            _slip(self._source, message, event.start_mark.index, "Remove the tag.")
        return super().compose_node(parent, index)


def _compose(source: JsonSource) -> yaml.Node | None:
    loader = None
    try:
        loader = _Loader(source)
        return loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = str(error.problem or error.context or "it is not YAML")
        at = mark.index if mark else 0
        hint = "Indent with spaces." if source.text[at : at + 1] == "\t" else None
        _stop(source, f"This is not YAML: {problem}.", at, hint)
    except yaml.reader.ReaderError as error:
        _stop(source, "A character stands here that YAML does not allow.", int(error.position))
    except RecursionError:
        _stop(source, "The file is nested too deeply.", 0)
    except (ValueError, OverflowError) as error:  # of an escape, or a directive's number
        at = loader.index if loader else 0
        _stop(source, f"This is not YAML: a number is beyond what there is: {error}.", at)
    return None


class _Reader:
    """One pass over the nodes of one text."""

    def __init__(self, source: JsonSource, limits: ReadingLimits) -> None:
        self._source = source
        self._limits = limits
        self._count = 0

    def value(self, node: yaml.Node, path: JsonPath, depth: int) -> Any:
        """Return what a node stands for; note where it stands."""
        self._source.values[path] = node.start_mark.index
        self._count += 1
        if self._count > self._limits.json_values:
            self._stop(node, f"The file holds more than {self._limits.json_values} values.")
        if depth > self._limits.json_depth:
            self._stop(node, f"The file is nested more than {self._limits.json_depth} levels deep.")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, depth)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(n, (*path, i), depth + 1) for i, n in enumerate(node.value)]
        return _scalar(node, _text(self._source, node), self._limits)

    def _mapping(self, node: yaml.MappingNode, path: JsonPath, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            at = key_node.start_mark.index
            if not isinstance(key_node, yaml.ScalarNode):
                _slip(self._source, "A key must be text.", at)
                continue
            key = _text(self._source, key_node)
            if key in found:
                _slip(
                    self._source, f"The key '{key}' stands here twice.", at, "Remove one of them."
                )
            self._source.keys[*path, key] = at
            found[key] = self.value(value_node, (*path, key), depth + 1)
        return found

    def _stop(self, node: yaml.Node, message: str) -> None:
        _stop(self._source, message, node.start_mark.index)


def _text(source: JsonSource, node: Any) -> str:
    """Return the text of a scalar; only an escape can write what is no character."""
    text = str(node.value)
    if text.isascii() or not _SURROGATE.search(text):
        return text
    _slip(source, "The text holds half of a surrogate pair.", node.start_mark.index)
    return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)


def _scalar(node: Any, text: str, limits: ReadingLimits) -> Any:
    if node.style:  # quoted, or a block: text, whatever it looks like
        return text
    if text in _WORDS:
        return _WORDS[text]
    if len(text) <= limits.number_digits:
        if _INTEGER.fullmatch(text):
            return int(text)
        if _FLOAT.fullmatch(text) and isfinite(float(text)):
            return float(text)
    return text


def _slip(source: JsonSource, message: str, offset: int, hint: str | None = None) -> None:
    source.problems.append(Problem(_CODE, message, offset, hint))


def _stop(source: JsonSource, message: str, offset: int, hint: str | None = None) -> None:
    _slip(source, message, offset, hint)
    raise _Stop
