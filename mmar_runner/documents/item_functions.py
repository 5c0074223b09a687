# SPDX-License-Identifier: Apache-2.0
"""Functions that a configuration holds as text, such as ``"lambda x: x['loss']"``.

Archives of that time pick values out of what an engine gives by a lambda expression in a
text. Running such a text is running a stranger's code; what it says fits into few shapes,
and those are read here as data: the argument, items of it to any depth, constants, and
tuples, lists and objects of these. Nothing is evaluated, and whatever else a text holds is
refused with its place.

A position of a tensor is a voxel. Where what a function gives may leave a site, such as in a
metric, a schema says how many positions one may hold: one is enough for a list of samples.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.errors import FormatError

if TYPE_CHECKING:
    import ast

#: What such a function may be, for hints.
SHAPES: Final = (
    "Write a function of one argument that gives items of it, such as "
    "\"lambda x: x['loss']\", a tuple, list or object of them, such as "
    "\"lambda x: (x['pred'], x['label'])\", or a constant, such as \"lambda x: None\"."
)
#: Letters of one text, and how deeply its values lie in each other.
MOST_LETTERS: Final = 1000
MOST_DEPTH: Final = 32
#: The key of a schema that says how many positions a function may hold in all.
MOST_POSITIONS: Final = "x-most-positions"


@dataclass(frozen=True, slots=True)
class Argument:
    """The function's argument itself."""

    def of(self, value: Any) -> Any:
        """Return what it is."""
        return value


@dataclass(frozen=True, slots=True)
class Constant:
    """None, true or false, a text or a number."""

    value: bool | float | str | None

    def of(self, _: Any) -> Any:
        """Return it."""
        return self.value


@dataclass(frozen=True, slots=True)
class Item:
    """The item of something under a key (a text) or at a position (a whole number)."""

    holder: Shape
    key: str | int

    def of(self, value: Any) -> Any:
        """Return the item.

        A list has no item under a text. It is a batch that was taken apart into its
        samples, and the answer is the list of what each of them has there.
        """
        held = self.holder.of(value)
        if isinstance(self.key, str) and isinstance(held, list):
            return [sample[self.key] for sample in held]
        return held[self.key]


@dataclass(frozen=True, slots=True)
class Several:
    """A tuple or a list of shapes."""

    parts: tuple[Shape, ...]
    as_list: bool

    def of(self, value: Any) -> Any:
        """Return their values."""
        values = [part.of(value) for part in self.parts]
        return values if self.as_list else tuple(values)


@dataclass(frozen=True, slots=True)
class Named:
    """An object of shapes, by name."""

    parts: tuple[tuple[str | int, Shape], ...]

    def of(self, value: Any) -> Any:
        """Return their values."""
        return {name: part.of(value) for name, part in self.parts}


Shape = Argument | Constant | Item | Several | Named


@dataclass(frozen=True, slots=True)
class ItemFunction:
    """A function of one argument that was read from a text; it can be pickled and compared.

    Attributes:
        text: What was written.
        body: What it gives.
    """

    text: str
    body: Shape

    def __call__(self, value: Any) -> Any:
        """Return what the function gives for a value.

        Raises:
            LookupError, TypeError: The value has no such item.
        """
        return self.body.of(value)


def parse_item_function(text: str, *, most_positions: int | None = None) -> ItemFunction:
    """Read a function from its text.

    Args:
        text: The function.
        most_positions: How many items it may take by a whole number, in all; None for any.

    Raises:
        FormatError: It is none of the accepted shapes; with the place, counted in letters
            from 1, and the shapes as hint.
    """
    written = text.lstrip()
    try:
        function = _lambda(written)
        reader = _Reader(function.args.args[0].arg, most_positions)
        return ItemFunction(text, reader.shape(function.body, 1))
    except _RefusalError as refusal:
        letter = len(text) - len(written) + 1
        if refusal.offset:
            letter += len(written.encode()[: refusal.offset].decode(errors="ignore"))
        message = f"this is no function that can be read, at letter {letter}: {refusal}"
        raise FormatError(message, hint=SHAPES, reason="ITEM_FUNCTION") from refusal


class _RefusalError(Exception):
    """What is wrong with a text.

    Args:
        why: A clause.
        offset: Where, in bytes from the first letter; 0 for the whole.
    """

    def __init__(self, why: str, offset: int = 0) -> None:
        super().__init__(why)
        self.offset = offset


def _lambda(text: str) -> ast.Lambda:
    """Return the lambda expression that a text is."""
    import ast  # noqa: PLC0415 - few documents hold such a text

    if len(text) > MOST_LETTERS:
        raise _RefusalError(f"it has more than {MOST_LETTERS} letters")
    if "\\" in text or not text.isprintable():  # reading an unknown escape would warn
        raise _RefusalError("it holds a backslash, or a letter that cannot be seen")
    try:
        found = ast.parse(text.rstrip(), mode="eval").body
    except SyntaxError as error:
        at = text[: max((error.offset or 1) - 1, 0)]
        raise _RefusalError("it cannot be read", len(at.encode())) from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise _RefusalError("it cannot be read") from error
    if not isinstance(found, ast.Lambda):
        raise _RefusalError("it does not begin with 'lambda'")
    given = found.args
    further = [*given.posonlyargs, *given.kwonlyargs, *given.defaults, given.vararg, given.kwarg]
    if len(given.args) != 1 or any(one is not None for one in further):
        raise _RefusalError("it must have exactly one argument, with nothing beside its name")
    return found


class _Reader:
    """Reads the body of a function whose argument has a name."""

    def __init__(self, argument: str, most_positions: int | None) -> None:
        self._argument = argument
        self._positions_left = most_positions

    def shape(self, node: ast.expr, depth: int) -> Shape:
        """Return what one expression means."""
        read = _READERS.get(type(node).__name__)
        if depth > MOST_DEPTH:
            raise _RefusalError(f"it is nested more than {MOST_DEPTH} deep", node.col_offset)
        if read is None:
            raise _RefusalError(
                _WORDS.get(type(node).__name__, "this means nothing here"), node.col_offset
            )
        return read(self, node, depth + 1)

    def name(self, node: Any, _: int) -> Shape:
        """Return the argument; no other name means anything."""
        if node.id != self._argument:
            raise _RefusalError(
                f"'{node.id}' is not the argument '{self._argument}'", node.col_offset
            )
        return Argument()

    def constant(self, node: Any, _: int) -> Shape:
        """Return a constant."""
        return Constant(_plain(node.value, node))

    def signed(self, node: Any, depth: int) -> Shape:
        """Return a number with its sign."""
        inner = self.shape(node.operand, depth) if _is_sign(node) else None
        value = inner.value if isinstance(inner, Constant) else None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _RefusalError("only a number has a sign", node.col_offset)
        return Constant(-value if type(node.op).__name__ == "USub" else value)

    def item(self, node: Any, depth: int) -> Shape:
        """Return an item of something."""
        key = _key(self.shape(node.slice, depth), node.slice)
        found = Item(self._holder(node.value, depth), key)
        if isinstance(key, int):
            self._take_position(node.slice)
        return found

    def _take_position(self, node: ast.expr) -> None:
        if self._positions_left is None:
            return
        if not self._positions_left:
            raise _RefusalError("here no further item is taken by its position", node.col_offset)
        self._positions_left -= 1

    def _holder(self, node: ast.expr, depth: int) -> Shape:
        holder = self.shape(node, depth)
        if isinstance(holder, Argument | Item):
            return holder
        raise _RefusalError(f"only '{self._argument}' and its items have items", node.col_offset)

    def several(self, node: Any, depth: int) -> Shape:
        """Return a tuple or a list."""
        parts = tuple(self.shape(part, depth) for part in node.elts)
        return Several(parts, as_list=type(node).__name__ == "List")

    def named(self, node: Any, depth: int) -> Shape:
        """Return an object."""
        if None in node.keys:
            raise _RefusalError("an object is written name by name", node.col_offset)
        names = [_key(self.shape(key, depth), key) for key in node.keys]
        return Named(tuple(zip(names, (self.shape(v, depth) for v in node.values), strict=True)))


def _plain(value: Any, node: ast.expr) -> bool | float | str | None:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    raise _RefusalError("this is no constant that JSON has", node.col_offset)


def _key(shape: Shape, node: ast.expr) -> str | int:
    value = shape.value if isinstance(shape, Constant) else None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise _RefusalError("a key is a text or a whole number", node.col_offset)
    return value


def _is_sign(node: Any) -> bool:
    return type(node.op).__name__ in {"UAdd", "USub"}


_READERS: Final[dict[str, Callable[[_Reader, Any, int], Shape]]] = {
    "Name": _Reader.name,
    "Constant": _Reader.constant,
    "UnaryOp": _Reader.signed,
    "Subscript": _Reader.item,
    "Tuple": _Reader.several,
    "List": _Reader.several,
    "Dict": _Reader.named,
}
_WORDS: Final = {
    "Call": "nothing is called here",
    "Attribute": "an attribute is not an item; write ['name']",
    "Lambda": "a function gives no function",
    "Slice": "one item is taken, not a range of them",
    "BinOp": "nothing is computed here",
    "BoolOp": "nothing is decided here",
    "Compare": "nothing is compared here",
    "IfExp": "nothing is decided here",
    "Starred": "every item is written by itself",
    "JoinedStr": "a text is written as it is",
    "NamedExpr": "nothing is named here",
}
