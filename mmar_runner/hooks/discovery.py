# SPDX-License-Identifier: Apache-2.0
"""Finding plugins, without loading any: installed entry points and one-file plugins.

The order is fixed: the built-in plugin, then entry points by distribution and name,
then files by name. An allow-list is applied here, so that what it leaves out is never
imported.
"""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib import metadata
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.errors import UsageError
from mmar_runner.hooks.markers import PROJECT_NAME
from mmar_runner.hooks.private_package import private_package
from mmar_runner.interfaces.catalog import CONTENT

if TYPE_CHECKING:
    from pathlib import Path

#: Comma-separated names of entry points or distributions; empty means none.
ALLOW_VARIABLE: Final = "MMAR_RUNNER_PLUGINS"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A plugin that was found and not loaded yet.

    Attributes:
        name: Its entry point's name, or its file's without ``.py``.
        distribution: The distribution's name, or the file.
        version: The distribution's version; for a file, what it holds (see `content_version`).
        source: ``built-in``, ``installed`` or ``file``.
        load: Imports it and returns the plugin object.
    """

    name: str
    distribution: str
    version: str
    source: str
    load: Callable[[], Any]


def allow_list(allow: Collection[str] | None) -> frozenset[str] | None:
    """Return the names that may be loaded, or None for all.

    Args:
        allow: The caller's list; None means the environment variable's, if it is set.
    """
    if allow is None:
        value = os.environ.get(ALLOW_VARIABLE)
        if value is None:
            return None
        allow = [part.strip() for part in value.split(",")]
    return frozenset(name for name in allow if name)


def installed(allowed: frozenset[str] | None) -> Sequence[Candidate]:
    """Return the allowed entry points, sorted by distribution and name."""
    found = [_from_entry_point(e) for e in metadata.entry_points(group=PROJECT_NAME)]
    if allowed is not None:
        found = [c for c in found if names_of(c) & allowed]
    return sorted(found, key=lambda c: (c.distribution, c.name))


def in_folder(folder: Path) -> Sequence[Candidate]:
    """Return the one-file plugins of a folder, sorted by name.

    Raises:
        UsageError: There is no such folder.
    """
    if not folder.is_dir():
        message = f"the plugins folder {folder} does not exist"
        raise UsageError(message, hint="--plugins-dir names a folder with *.py files")
    files = sorted(p for p in folder.glob("*.py") if not p.name.startswith("_"))
    return [_from_file(path) for path in files]


def names_of(candidate: Candidate) -> frozenset[str]:
    """Return the names by which an allow-list may mean a candidate."""
    return frozenset({candidate.name, candidate.distribution, normalized(candidate.distribution)})


def normalized(distribution: str) -> str:
    """Return a distribution's name as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def _from_entry_point(entry: metadata.EntryPoint) -> Candidate:
    return Candidate(
        name=entry.name,
        distribution=_field(entry, "Name") or "unknown",
        version=_field(entry, "Version"),
        source="installed",
        load=entry.load,
    )


def _field(entry: metadata.EntryPoint, key: str) -> str:
    # Metadata that somebody else wrote badly must not keep the other plugins from loading.
    found = entry.dist.metadata.get_all(key) if entry.dist else None
    return str(found[0]) if found else ""


def _from_file(path: Path) -> Candidate:
    def load() -> Any:
        package = private_package("plugins", path.parent)
        return importlib.import_module(f"{package}.{path.stem}")

    version = content_version(path)
    return Candidate(path.stem, distribution=str(path), version=version, source="file", load=load)


def content_version(path: Path) -> str:
    """Return the version of a one-file plugin: the sha256 of its content.

    Files beside it that begin with ``_`` are no plugins, but a plugin may import them: what
    they hold follows its own content. A file that cannot be read has none: loading it says why.
    """
    helpers = sorted(path.parent.glob("_*.py"))
    digest = sha256()
    for file in (path, *helpers):
        try:
            digest.update(file.read_bytes())
        except OSError:
            return f"{CONTENT}unknown"
    return f"{CONTENT}{digest.hexdigest()}"
