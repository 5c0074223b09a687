# SPDX-License-Identifier: Apache-2.0
"""A folder that is no kit, or not the one that is needed: what it is, and what was meant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mmar_runner.documents.words import did_you_mean
from mmar_runner.errors import KitError, NoKitError, StorageError
from mmar_runner.security.identity import Role
from mmar_runner.security.kits.files import KIT_FILES, REQUEST_FILE, SIGNATURE_FILE
from mmar_runner.security.kits.mends import mend
from mmar_runner.security.kits.roles import MARKS
from mmar_runner.storage.atomic import translated

if TYPE_CHECKING:
    from pathlib import Path

_KINDS: Final = {
    Role.SERVER: "a server",
    Role.COMBINER: "a combiner",
    Role.CLIENT: "a client",
    Role.ADMIN: "an administrator",
}
_COMMANDS: Final = {
    Role.SERVER: "run-server",
    Role.COMBINER: "run-combiner",
    Role.CLIENT: "run-client",
    Role.ADMIN: "sign-mmar",
}
_AUTHORITY_KEY: Final = "root.key"
_SHOWN: Final = 3


def incomplete(folder: Path, role: Role, missing: list[str]) -> KitError:
    """Return why a folder that lacks files of a kit is none, and what was meant.

    Args:
        folder: What was named.
        role: Whose kit it should be.
        missing: The files that it lacks.
    """
    files = KIT_FILES[role]
    if (folder / _AUTHORITY_KEY).is_file() and not (folder / SIGNATURE_FILE).exists():
        what = "is the folder of the project's authority, no start-up kit"
        return _none(folder, what, _meant(folder.parent, role))
    other = next((kind for kind in Role if kind is not role and _is_kit_of(folder, kind)), None)
    if other is not None:
        return wrong_role(folder, other, role)
    inside = _meant(folder, role)
    if inside and not (folder / SIGNATURE_FILE).exists():
        return _none(folder, "holds start-up kits and is none", inside)
    if files.certificate in missing and (folder / REQUEST_FILE).is_file():
        return _unanswered(folder)
    if {*missing, SIGNATURE_FILE} == {*files.required}:
        return _no_kit(folder, role)
    keys = [name for name in missing if name in (files.key, files.release_key)]
    hint = _keys_back(keys) if keys else mend(folder / missing[0])
    message = f"the start-up kit {folder} lacks {', '.join(missing)}"
    return KitError(message, hint=hint, reason="KIT_INCOMPLETE")


def no_folder(folder: Path, role: Role) -> NoKitError:
    """Return the error of a kit that is not there."""
    what = "a file, no folder" if folder.exists() else "no such folder"
    names = [kit.name for kit in _kits_in(folder.parent, role)]
    hint = did_you_mean(folder.name, names) or _meant(folder.parent, role)
    hint = hint or "name the folder that whoever provisions the project gave you"
    return NoKitError(f"{folder} is no start-up kit: {what}", hint=hint)


def wrong_role(folder: Path, found: Role, wanted: Role) -> KitError:
    """Return the error of a kit that belongs to somebody else."""
    message = f"{folder} is the start-up kit of {_KINDS[found]}, and {_KINDS[wanted]}'s is needed"
    example = next((f", such as {kit}" for kit in _kits_in(folder.parent, wanted)), "")
    hint = f"give the kit of {_KINDS[wanted]}{example}; this one is for `{_COMMANDS[found]}`"
    return KitError(message, hint=hint, reason="KIT_ROLE")


def wrong_certificate(path: Path, found: Role, wanted: Role) -> KitError:
    """Return the error of a kit that holds another role's certificate."""
    message = f"{path} is the certificate of {_KINDS[found]}, in the kit of {_KINDS[wanted]}"
    hint = f"put this kit's own {path.name} back, or {mend(path)}"
    return KitError(message, hint=hint, reason="KIT_ROLE")


def _unanswered(folder: Path) -> KitError:
    message = f"{folder} is no start-up kit yet: its request has not been answered"
    hint = (
        f"send {folder / REQUEST_FILE} to the project's office, then lay over this folder what "
        "`mmar-runner provision sign` made of it there"
    )
    return KitError(message, hint=hint, reason="KIT_INCOMPLETE")


def _no_kit(folder: Path, role: Role) -> KitError:
    files = KIT_FILES[role]
    what = f"is no start-up kit: there is no {files.key}, {files.certificate} or {MARKS[role]}"
    made = "name the folder with these files that whoever provisions the project gave you"
    return _none(folder, what, _meant(folder.parent, role) or made)


def _keys_back(keys: list[str]) -> str:
    names = " and ".join(keys)
    return (
        f"put your own {names} back: a kit for keys of your own is laid over the folder that "
        "`mmar-runner provision request` made. Whoever provisions the project replaces lost keys"
    )


def _none(folder: Path, what: str, meant: str) -> NoKitError:
    return NoKitError(f"{folder} {what}", hint=meant or "name the folder of one participant")


def _meant(folder: Path, role: Role) -> str:
    kits = [str(kit) for kit in _kits_in(folder, role)][:_SHOWN]
    return f"did you mean {' or '.join(kits)}?" if kits else ""


def _kits_in(folder: Path, role: Role) -> list[Path]:
    try:
        with translated(folder):
            return sorted(path for path in folder.iterdir() if _is_kit_of(path, role))
    except StorageError:  # it is only asked for a hint
        return []


def _is_kit_of(folder: Path, role: Role) -> bool:
    return (folder / MARKS[role]).is_file() and (folder / SIGNATURE_FILE).is_file()
