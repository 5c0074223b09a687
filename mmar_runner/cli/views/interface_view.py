# SPDX-License-Identifier: Apache-2.0
"""What a component of a kind must be, on one page: the classes of its interface as they stand.

The source is shown, since it is short, and says what is given, returned and inherited in the
words in which a plugin is written.
"""

from __future__ import annotations

import inspect
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mmar_runner.hooks.doctor import INTERFACES

if TYPE_CHECKING:
    from mmar_runner.interfaces.catalog import ComponentKind


@dataclass(frozen=True, slots=True)
class InterfacePage:
    """What is shown of a kind.

    Attributes:
        kind: The kind.
        interface: The dotted path of the class to derive from; empty if there is none.
        suite: The contract suite that holds a component to it; empty likewise.
        text: What the interface is for, and its classes.
    """

    kind: str
    interface: str
    suite: str
    text: str


def interface_page(kind: ComponentKind) -> InterfacePage:
    """Return what a component of a kind must be."""
    interface = INTERFACES.get(kind)
    if interface is None:
        text = (
            "A part of a trainer, which says what it must be: with PyTorch, a class or function "
            "that gives what torch takes in its place. Arguments are those of the constructor."
        )
        return InterfacePage(str(kind), "", "", text)
    module = sys.modules[interface.__module__]
    own = [
        found
        for found in vars(module).values()
        if inspect.isclass(found) and found.__module__ == module.__name__
    ]
    blocks = [inspect.getdoc(module) or "", *(inspect.getsource(found).rstrip() for found in own)]
    suite = "".join(part.capitalize() for part in kind.split("_")) + "Contract"
    dotted = f"{module.__name__}.{interface.__name__}"
    return InterfacePage(str(kind), dotted, suite, "\n\n\n".join(blocks))
