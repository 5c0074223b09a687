# SPDX-License-Identifier: Apache-2.0
"""What is said of a declared component that is not to be had: why, and what there is instead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mmar_runner.documents.words import did_you_mean
from mmar_runner.mmar.components.bundled import bundled_hint
from mmar_runner.mmar.older.entry import class_of
from mmar_runner.mmar.older.federated import FEDERATED, unavailable

if TYPE_CHECKING:
    from mmar_runner.documents.json_source import JsonPath
    from mmar_runner.errors import PluginConflictError
    from mmar_runner.interfaces.catalog import (
        ComponentCatalog,
        ComponentDescription,
        ComponentKind,
    )
    from mmar_runner.mmar.document import Document
    from mmar_runner.mmar.finding import Findings

#: So many names are told in a hint.
_MANY: Final = 30


def with_article(kind: ComponentKind) -> str:
    """Return a kind in words: 'an aggregator'."""
    words = kind.value.replace("_", " ")
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def became(name: str, found: ComponentDescription) -> str:
    """Return what an older name became, and how that works differently."""
    older = FEDERATED.get(class_of(name) or name)
    differs = older.differs if older is not None and older.became == found.name else ""
    return f"'{name}' is an older name of '{found.name}'{f': {differs}' if differs else ''}."


class Absent:
    """Reports components that are not to be had.

    Args:
        catalog: What is installed.
        findings: Gets what is said; whoever says more of such a component may use it too.
    """

    def __init__(self, catalog: ComponentCatalog, findings: Findings) -> None:
        self._catalog = catalog
        self.findings = findings

    def not_installed(
        self, document: Document, where: JsonPath, kind: ComponentKind, name: str
    ) -> None:
        """Report a name that no plugin offers, or one that is of another kind."""
        others = [k for k in self._catalog.kinds_of(name) if k is not kind]
        if others:
            is_a = " and ".join(with_article(k) for k in others)
            message = f"'{name}' is {is_a}, not {with_article(kind)}."
            hint = self.available(kind)
            self.findings.at(document, where, "MMAR502", message, hint=hint)
            return
        message = f"No installed plugin offers {with_article(kind)} named '{name}'."
        self.findings.at(document, where, "MMAR501", message, hint=self._hint(kind, name))

    def nobodys(
        self,
        document: Document,
        where: JsonPath,
        kind: ComponentKind,
        problem: tuple[str, str, str | None],
    ) -> None:
        """Report a class path that no plugin allows and the MMAR does not bring."""
        dotted = str(document.get(where))
        code, message, hint = problem
        others = [k for k in self._catalog.kinds_of(dotted) if k is not kind]
        if others:
            is_a = " and ".join(with_article(k) for k in others)
            code, message = "MMAR502", f"'{dotted}' is {is_a}, not {with_article(kind)}."
        last = dotted.rpartition(".")[2]
        hint = hint or self._hint(kind, last, dotted)
        self.findings.at(document, where, code, message, hint=hint)

    def unavailable(self, document: Document, path: JsonPath, where: JsonPath) -> bool:
        """Return True, and say so, if an older system's component is not to be had at all."""
        gone = unavailable(document.get(path))
        if gone is None:
            return False
        why = f": there is no {gone.cause}" if gone.cause else ""
        message = f"'{gone.name}' of older systems is not available here{why}."
        cause = (gone.cause,) if gone.cause else None
        hint = _capital(f"{gone.instead}.")
        self.findings.at(document, where, "MMAR221", message, hint=hint, cause=cause)
        return True

    def conflict(self, document: Document, where: JsonPath, error: PluginConflictError) -> None:
        """Report a name that two plugins claim."""
        message = f"{_capital(error.message)}."
        self.findings.at(document, where, "MMAR518", message, hint=_capital(error.hint))

    def available(self, kind: ComponentKind) -> str:
        """Return in words what of a kind there is."""
        names = self._catalog.names(kind)
        words = kind.value.replace("_", " ")
        several = f"{words}es" if words.endswith("s") else f"{words}s"
        if names:
            return f"Installed {several}: {', '.join(names)}."
        tabled = self._catalog.tabled(kind)
        if len(tabled) > _MANY:
            return f"`mmar-runner plugins list --kind {kind}` shows the {len(tabled)} {several}."
        if tabled:
            return f"Known {several}: {', '.join(tabled)}."
        mend = "install the plugin, or give the folder of a one-file plugin with --plugins-dir"
        return f"No {words} is installed: {mend}."

    def _hint(self, kind: ComponentKind, name: str, dotted: str = "") -> str:
        bundled = bundled_hint(kind, dotted or name)
        if bundled is None and name in FEDERATED and FEDERATED[name].became:
            became = FEDERATED[name].became
            where = bundled_hint(kind, became)
            return f"An older name of {became}{f'. {where}' if where else '.'}"
        broken = self._catalog.broken()
        note = f" Plugins that cannot be loaded: {', '.join(sorted(broken))}" if broken else ""
        note += f" (`{self._catalog.doctor}` says why)." if broken else ""
        known = [*self._catalog.names(kind), *self._catalog.tabled(kind)]
        known += [one.name for one in FEDERATED.values() if one.what == kind and one.became]
        near = bundled or did_you_mean(name.partition("#")[0], known)
        return (near or self.available(kind)) + note


def _capital(text: str | None) -> str | None:
    return None if text is None else f"{text[:1].upper()}{text[1:]}"
