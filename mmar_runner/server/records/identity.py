# SPDX-License-Identifier: Apache-2.0
"""What makes a run the one it is, and what differs when something else is to be run in it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.documents.words import some_of
from mmar_runner.errors import MmarRunnerError, UsageError
from mmar_runner.interfaces.catalog import CONTENT
from mmar_runner.mmar.finding import Findings
from mmar_runner.mmar.folder import open_folder
from mmar_runner.mmar.manifest import list_files

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mmar_runner.server.records.run_state import RunState
    from mmar_runner.server.records.workspace import RunFolder
    from mmar_runner.server.settings import ServerSettings

#: Names of files that are told, and letters of a digest or value.
_MOST_FILES: Final = 5
_SHORT: Final = 12
_LONGEST: Final = 60
_ABSENT: Final = object()
_UNKNOWN: Final = ""


def identity_of(settings: ServerSettings, plugins: Mapping[str, str]) -> dict[str, Any]:
    """Return the parts of a run's effective digest, as the journal keeps them.

    Args:
        settings: Of the server.
        plugins: Versions of the distributions in use, by name.
    """
    return {
        "mmar": settings.spec.digest,
        "settings": dict(settings.variables),
        "plugins": dict(plugins),
    }


def require_same(
    settings: ServerSettings,
    folder: RunFolder,
    state: RunState,
    digest: str,
    plugins: Mapping[str, str],
) -> None:
    """Refuse to go on with a run as something else than it was.

    Args:
        settings: Of the server.
        folder: The run's.
        state: The run's.
        digest: The effective digest of what would be run.
        plugins: Versions of the distributions in use, by name.

    Raises:
        UsageError: RUN_DIFFERS; it says what differs.
    """
    asked = settings.seed
    seeds = [] if asked in {None, state.seed} else [f"--seed {asked} instead of {state.seed}"]
    if state.digest == digest and not seeds:
        return
    found = seeds
    if state.digest != digest and state.identity:
        now = identity_of(settings, plugins)
        before = {**state.identity, "plugins": _by_content(state.identity["plugins"], plugins)}
        found = [*_differences(before, now, folder, settings.spec.root), *seeds]
        if not found:
            return
    what = "; ".join(found) or "the MMAR's files, --set values or plugin versions"
    stands = "is unfinished" if state.resumable else f"has {state.status}"
    msg = f"run {folder.number} {stands}, and what is to be run now differs from it: {what}"
    hint = (
        "give the same MMAR, --set values, seed and plugin versions to finish it, "
        "or begin another with --new-run"
    )
    raise UsageError(msg, hint=hint, reason="RUN_DIFFERS")


def _by_content(before: Mapping[str, str], now: Mapping[str, str]) -> dict[str, str]:
    """Return the plugins of a run, files by their name, as older journals do not have them.

    Those have a file's path as it was typed, and no version: such a file is taken for the one
    of its name that is there now, as it always was.
    """
    paths = {path: Path(path).name for path, version in before.items() if not version}
    known = {name: version for name, version in before.items() if version}
    files = {name: now.get(name, _UNKNOWN) for name in paths.values()}
    return {**known, **files}


def _differences(
    before: Mapping[str, Any], now: Mapping[str, Any], folder: RunFolder, mmar: Path
) -> Iterator[str]:
    if before["mmar"] != now["mmar"]:
        files = _other_files(folder.mmar, mmar)
        named = f" ({some_of(files, _MOST_FILES)})" if files else ""
        digests = f"digest {now['mmar'][:_SHORT]} instead of {before['mmar'][:_SHORT]}"
        yield f"the MMAR has other files{named}, {digests}"
    for name, was, is_ in _changed(before["settings"], now["settings"]):
        yield f"--set {name}: {_shown(is_)} instead of {_shown(was)}"
    for name, was, is_ in _changed(before["plugins"], now["plugins"]):
        yield f"plugin {name}: {_version(is_)} instead of {_version(was)}"


def _changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for name in sorted(before.keys() | now.keys()):
        was, is_ = before.get(name, _ABSENT), now.get(name, _ABSENT)
        if was != is_ or type(was) is not type(is_):
            yield name, was, is_


def _version(value: object) -> str:
    if value is _ABSENT:
        return "none"
    text = str(value)
    if text == _UNKNOWN:
        return "a file"
    content = text.removeprefix(CONTENT)
    return f"version {text}" if content == text else f"content {content[:_SHORT]}"


def _shown(value: object) -> str:
    if value is _ABSENT:
        return "none"
    text = str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _other_files(before: Path, now: Path) -> list[str]:
    """Return the files that differ, as far as both folders can be read."""
    try:
        listings = [list_files(open_folder(path, Findings())).files for path in (before, now)]
    except MmarRunnerError:
        return []
    was, is_ = ({file.path: file.sha256 for file in listing} for listing in listings)
    return sorted(path for path in was.keys() | is_.keys() if was.get(path) != is_.get(path))
