# SPDX-License-Identifier: Apache-2.0
"""Do references in workflow files lead to what is meant?

``{"ref": "Name"}`` stands for the part of that name, or with the label of ``Name#Label``, in its
own file, and from the validation file in the training file too: where a part stands, for nothing
else was checked. The first one counts. What stands beside ``ref`` goes before what stands there.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.documents.words import counted, did_you_mean, some_of
from mmar_runner.interfaces.catalog import ComponentKind
from mmar_runner.interfaces.nested import is_off
from mmar_runner.mmar.checks.places import children, is_reference, places
from mmar_runner.mmar.checks.train import readers, required
from mmar_runner.mmar.codes import Severity
from mmar_runner.mmar.components.absent import with_article

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mmar_runner.documents.json_source import JsonPath
    from mmar_runner.mmar.checks.case import Look
    from mmar_runner.mmar.document import Document

    #: Of what kind the part at a place is; None if no reader of the file says where parts stand.
    _Kinds = Mapping[JsonPath, ComponentKind] | None

#: Places or arguments that a sentence repeats.
_NAMED: Final = 3
#: Parts of one name that are compared.
_COMPARED: Final = 100


@dataclass(frozen=True, slots=True)
class _Named:
    """A part with a name.

    Attributes:
        document: Where it stands.
        path: The place.
        kind: What it is; None if that is not known.
    """

    document: Document
    path: JsonPath
    kind: ComponentKind | None

    @property
    def declaration(self) -> Mapping[str, Any]:
        """What stands there."""
        found: Mapping[str, Any] = self.document.get(self.path)
        return found

    @property
    def words(self) -> str:
        """The place as people write it."""
        return self.document.words(self.path)

    def differs_from(self, other: _Named) -> bool:
        """Return True if it matters which of two is taken."""
        return _but_label(self.declaration) != _but_label(other.declaration)


#: How the mend of a key begins that is another one's misspelt.
_MISSPELT: Final = "Did you mean"

_Scope = dict[str, list[_Named]]


def check_references(look: Look) -> None:
    """Check every ``{"ref": "Name"}`` of the workflow files that is not switched off."""
    scope: _Scope = {}
    for what, document in (("train", look.files.train), ("validation", look.files.validation)):
        if document is None:
            continue
        kinds = _kinds(look, document, what)
        scope = {**scope, **_names(document, kinds)}
        for path, item in _objects(document.value, ()):
            if not is_reference(item) or item.get("disabled") is True:
                continue
            if isinstance(item["ref"], str):
                wanted = None if kinds is None else kinds.get(path)
                _check(look, what, _Named(document, path, wanted), scope)


def _kinds(look: Look, document: Document, what: str) -> _Kinds:
    stated = [
        reader.extras[f"{what}_parts"]
        for reader in readers(look)
        if reader.extras.get(f"{what}_parts")
    ]
    if not stated:
        return None
    return {
        path: ComponentKind(kind)
        for patterns in stated
        for pattern, kind in patterns.items()
        for path in places(document.value, pattern)
    }


def _names(document: Document, kinds: _Kinds) -> _Scope:
    """Return every part of a file by each of its names, in the order in which they are looked at.

    That is the order of the reader's patterns; without a reader it is that of the file.
    """
    if kinds is None:
        every = [_Named(document, path, None) for path, _ in _objects(document.value, ())]
    else:
        every = [_Named(document, path, kind) for path, kind in kinds.items()]
    found: _Scope = {}
    for one in every:
        if isinstance(document.get(one.path), dict):
            for name in _labels(one.declaration):
                found.setdefault(name, []).append(one)
    return found


def _labels(item: Mapping[str, Any]) -> set[str]:
    name = item.get("name")
    if not isinstance(name, str):
        return set()
    base, _, alias = name.partition("#")
    return {name, base, alias} - {""}


def _check(look: Look, what: str, reference: _Named, scope: _Scope) -> None:
    """Check one reference, whose ``kind`` is the one that is wanted there."""
    document, path = reference.document, reference.path
    name = reference.declaration["ref"]
    if name not in scope:
        if not document.is_unresolved((*path, "ref")) and not look.findings.has_at(document, path):
            _nowhere(look, reference, scope)
        return
    target, *others = scope[name]
    if _is_of_another_kind(look, reference, scope[name]):
        return
    if is_off(target.declaration):
        _switched_off(look, what, reference, target)
        return
    unlike = [one for one in others[:_COMPARED] if one.differs_from(target)]
    if unlike:
        _ambiguous(look, reference, [target, *unlike])
    _replaced_arguments(look, reference, target)


def _stands_under_a_misspelt_key(look: Look, document: Document, name: str) -> bool:
    """Return True if a part of that name stands below a misspelt key, which is an error then."""
    files = {one.file: one for one in (document, look.files.train) if one is not None}
    for found in look.findings.with_code("MMAR404"):
        one, path = files.get(found.file), tuple(found.pointer.split("/")[1:])
        if one is None or not (found.hint or "").startswith(_MISSPELT):
            continue
        if any(name in _labels(item) for _, item in _objects(one.get(path), ())):
            if found.severity is not Severity.ERROR:
                look.findings.remove([found])
                message = f"{found.message.rstrip('.')}; references lead to what stands there."
                look.findings.at(
                    one,
                    path,
                    found.code,
                    message,
                    hint=found.hint,
                    key=True,
                    severity=Severity.ERROR,
                )
            return True
    return False


def _nowhere(look: Look, reference: _Named, scope: _Scope) -> None:
    name = reference.declaration["ref"]
    for near in get_close_matches(name, scope, n=1):
        meant = scope[near][0]
        if look.findings.is_wrong_at(meant.document, (*meant.path, "name")):
            return  # it is right, and the name that it means is misspelt, which was said
    if _stands_under_a_misspelt_key(look, reference.document, name):
        return  # nor would it be wrong, were that key not misspelt, which was said
    message = f"Nothing is named or labelled '{name}'."
    where = (*reference.path, "ref")
    hint = did_you_mean(name, scope)
    look.findings.at(reference.document, where, "MMAR517", message, hint=hint)


def _is_of_another_kind(look: Look, reference: _Named, found: Sequence[_Named]) -> bool:
    """Return True, and say so, if what a reference leads to cannot stand where it stands."""
    wanted, target = reference.kind, found[0]
    if wanted is None or target.kind is None or target.kind is wanted:
        return False
    name = reference.declaration["ref"]
    message = (
        f"'{name}' is {with_article(target.kind)} ({target.words}), not {with_article(wanted)}."
    )
    meant = next((one for one in found if one.kind is wanted), None)
    hint = f"Refer to {with_article(wanted)}, or declare one here."
    if meant is not None:
        hint = f'Give that of {meant.words} a label, as in "{name}#Label", and refer to it.'
    look.findings.at(reference.document, (*reference.path, "ref"), "MMAR502", message, hint=hint)
    return True


def _switched_off(look: Look, what: str, reference: _Named, target: _Named) -> None:
    """Say that a reference stands for nothing; it is an error where something is needed."""
    path, name = reference.path, reference.declaration["ref"]
    message = f"'{name}' ({target.words}) is switched off, and so is what refers to it."
    hint = "Switch it on, or remove the reference."
    where = (*path, "ref")
    needed = any(required(r.extras.get(f"{what}_schema"), path) for r in readers(look))
    if needed:
        look.findings.at(reference.document, where, "MMAR516", message, hint=hint)
        return
    severity = Severity.WARNING
    look.findings.at(reference.document, where, "MMAR517", message, hint=hint, severity=severity)


def _ambiguous(look: Look, reference: _Named, found: Sequence[_Named]) -> None:
    name = reference.declaration["ref"]
    shown = some_of([one.words for one in found], _NAMED)
    message = f"'{name}' may mean {counted(len(found), 'part')} ({shown}); the first one is taken."
    where = (*reference.path, "ref")
    look.findings.at(reference.document, where, "MMAR523", message)


def _replaced_arguments(look: Look, reference: _Named, target: _Named) -> None:
    own, theirs = (one.declaration.get("args") for one in (reference, target))
    if not isinstance(own, dict) or not isinstance(theirs, dict):
        return
    lost = [f"'{key}'" for key in theirs if key not in own]
    if lost:
        message = (
            f"These arguments take the place of all those of '{reference.declaration['ref']}' "
            f"({target.words}): {some_of(lost, _NAMED)} {'is' if len(lost) == 1 else 'are'} lost."
        )
        hint = "Write all arguments here, or remove 'args'."
        where = (*reference.path, "args")
        look.findings.at(reference.document, where, "MMAR406", message, hint=hint, key=True)


def _but_label(declaration: Mapping[str, Any]) -> dict[str, Any]:
    name = str(declaration.get("name")).partition("#")[0]
    return {"args": {}, **declaration, "name": name}


def _objects(value: Any, path: JsonPath) -> Iterator[tuple[JsonPath, Mapping[str, Any]]]:
    """Yield every object of a value, with its path."""
    if isinstance(value, dict):
        yield path, value
    for part, child in children(value):
        yield from _objects(child, (*path, part))
