# SPDX-License-Identifier: Apache-2.0
"""What a policy must know of an MMAR: recomputed from its files, never believed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmar_runner.security.decision import Place


@dataclass(frozen=True, slots=True)
class MmarFacts:
    """An MMAR, as far as policies speak of it.

    Attributes:
        name: The MMAR's name.
        digest: sha256 over all its files.
        code: Its files that are code, or are not known to be data.
        datalists: Where it brings a data list of its own.
        class_paths: Every class path that it names, with the place; neither code of its
            own nor a registered component.
        path_arguments: Every argument that names something outside the MMAR and the run
            folder, or tries to: text and place. What the site itself gave is left out.
        expressions: Every text that the trainer would evaluate, and every name of a thing that
            it would call and nobody registered: text and place.
        commands: Every command of its own that a component would start: text and place.
    """

    name: str
    digest: str
    code: tuple[str, ...] = ()
    datalists: tuple[Place, ...] = ()
    class_paths: tuple[tuple[str, Place], ...] = ()
    path_arguments: tuple[tuple[str, Place], ...] = ()
    expressions: tuple[tuple[str, Place], ...] = ()
    commands: tuple[tuple[str, Place], ...] = ()

    @property
    def byoc(self) -> bool:
        """True if it brings code: files of it, or commands, whatever program these name."""
        return bool(self.code or self.commands)

    @property
    def runs_own_code(self) -> bool:
        """True if it brings code, as files, as commands or as expressions."""
        return self.byoc or bool(self.expressions)

    @property
    def custom_datalist(self) -> bool:
        """True if it brings a data list."""
        return bool(self.datalists)
