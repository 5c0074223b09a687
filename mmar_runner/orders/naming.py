# SPDX-License-Identifier: Apache-2.0
"""Which MMAR an order means: its name, and the digest that its author saw under that name.

A name alone could mean another MMAR by the time the order is carried out, or what a server says
that it means. So a console writes ``NAME@DIGEST`` where somebody typed ``NAME``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from mmar_runner.documents.words import printable
from mmar_runner.errors import OrderError, UsageError

#: The parameter of a command that means an MMAR.
PARAMETER: Final = "MMAR"
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class NamedMmar:
    """An MMAR as an order names it.

    Attributes:
        name: Its name.
        digest: Its digest, hex; empty if the order does not say.
    """

    name: str
    digest: str = ""

    def __str__(self) -> str:
        """Return it as it stands in an order."""
        return f"{self.name}@{self.digest}" if self.digest else self.name

    def require(self, digest: str, *, whose: str) -> None:
        """Refuse another MMAR than the one that is meant; a name alone means any.

        Args:
            digest: Of what there is.
            whose: Says where that is, as a clause.

        Raises:
            OrderError: MMAR_DIFFERS.
        """
        if self.digest and digest != self.digest:
            msg = f"{whose} {self.name} with the digest {digest[:12]}; meant is {self.digest[:12]}"
            hint = "somebody has uploaded it anew since: order it again"
            raise OrderError(msg, reason="MMAR_DIFFERS", hint=hint)


def named_mmar(word: str) -> NamedMmar:
    """Return what a word of an order means.

    Raises:
        UsageError: What follows ``@`` is no digest.
    """
    name, at, digest = word.partition("@")
    if at and not _DIGEST.fullmatch(digest):
        msg = f"{printable(word)!r}: a digest has 64 hexadecimal digits"
        raise UsageError(msg, hint="leave out @ and what follows: the console looks it up")
    return NamedMmar(name, digest)
