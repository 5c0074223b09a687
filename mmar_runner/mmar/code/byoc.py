# SPDX-License-Identifier: Apache-2.0
"""Code that an MMAR brings: found by the existence of files, never imported."""

from __future__ import annotations

import re
import sys
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from mmar_runner.documents.words import did_you_mean
from mmar_runner.mmar.code.own_sources import CUSTOM, OwnSources
from mmar_runner.mmar.folder import is_hidden
from mmar_runner.security.listing import FileKind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mmar_runner.mmar.code.heritage import Heritage
    from mmar_runner.mmar.code.module_source import ClassSource
    from mmar_runner.mmar.finding import Findings
    from mmar_runner.mmar.folder import MmarFolder

_CONFIG = "config/"
_PART = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
#: What an MMAR may hold without bringing code.
_DATA_SUFFIXES = frozenset(
    {
        *(".bmp", ".gif", ".jpeg", ".jpg", ".pdf", ".png", ".svg", ".tif", ".tiff"),
        *(".cfg", ".conf", ".config", ".ini", ".json", ".jsonl", ".toml", ".xml", ".yaml", ".yml"),
        *(".csv", ".html", ".log", ".md", ".parquet", ".rst", ".tsv", ".txt"),
        *(".ckpt", ".data", ".frozen", ".h5", ".hdf5", ".index", ".meta", ".onnx", ".pb", ".pt"),
        *(".gz", ".nii", ".npy", ".npz", ".safetensors", ".ts", ".zst"),
    }
)
_DATA_NAMES = frozenset(
    {
        *("license", "licence", "notice", "readme", "changelog", "authors", "checkpoint"),
        *(".gitignore", ".gitkeep", ".gitattributes", ".ds_store"),
    }
)
_SHARD = re.compile(r"\.data-[0-9]+-of-[0-9]+")  # a part of an older checkpoint
_TAKEN = frozenset({"mmar_runner", "numpy", "torch", "grpc", "google", "pluggy", "jsonschema"})
_Problem = tuple[str, str, str | None]


def is_data(file: str) -> bool:
    """Return True if a file is data by its suffix (an allow-list), not code."""
    path = PurePosixPath(file)
    if path.suffix:
        in_commands = file.startswith("commands/") and path.suffix in {".sh", ".bat"}
        suffix = path.suffix.lower()
        return suffix in _DATA_SUFFIXES or in_commands or _SHARD.fullmatch(suffix) is not None
    return path.name.lower() in _DATA_NAMES


def kind_of(file: str) -> FileKind:
    """Return what a file is to those who decide whether they let it run."""
    if file.startswith(CUSTOM) or not is_data(file):
        return FileKind.CODE
    return FileKind.CONFIG if file.startswith(_CONFIG) else FileKind.DATA


class ByocModules:
    """What lies in ``custom/``, and what else in an MMAR may be code."""

    def __init__(self, folder: MmarFolder) -> None:
        self.code_files = [f for f in folder.contents if kind_of(f) is FileKind.CODE]
        self._sources = OwnSources(folder)

    @property
    def present(self) -> bool:
        """True if the MMAR brings code."""
        return bool(self.code_files)

    def problem(self, dotted: str) -> _Problem | None:
        """Return code, message and hint of why a class path is no code of the MMAR's own."""
        *package, name = dotted.split(".")
        if not package or not all(_PART.fullmatch(part) for part in (*package, name)):
            return "MMAR503", f"'{dotted}' is not a dotted class path.", "Write module.Class."
        file = self._sources.file("/".join(package))
        if file is None:
            return self._no_module(dotted, package)
        self._sources.named.add(file)
        source = self._sources.get(file)
        if source is None or source.all_of or source.makes_names:
            return None  # it cannot be read, which is said; or nobody knows what it has
        if name in source.names - source.values:
            return None
        classes = sorted(source.classes or source.names - source.values)
        hint = f"It has: {', '.join(classes)}." if classes else "Define the class there."
        return "MMAR509", f"custom/{file} has no '{name}'.", did_you_mean(name, classes) or hint

    def source(self, dotted: str) -> ClassSource | None:
        """Return what the source says of a class, or None if that is not known."""
        *package, name = dotted.split(".")
        module = self._sources.get(self._sources.file("/".join(package)))
        return None if module is None else module.classes.get(name)

    def is_unreadable(self, dotted: str) -> bool:
        """Return True if a class would be in a file that is not Python."""
        file = self._sources.file(dotted.rpartition(".")[0].replace(".", "/"))
        return file is not None and self._sources.get(file) is None

    def heritage(self, dotted: str) -> Heritage | None:
        """Return what a class comes from, or None if its source is not known."""
        # Deferred: few MMARs bring any code.
        from mmar_runner.mmar.code.heritage import heritage  # noqa: PLC0415

        *package, name = dotted.split(".")
        file = self._sources.file("/".join(package))
        return None if file is None else heritage(self._sources, file, name)

    def report(
        self,
        findings: Findings,
        provided: Mapping[str, Sequence[str]],
        constants: Mapping[str, Sequence[str]],
    ) -> None:
        """Say which files are code, and what is wrong with it.

        Args:
            findings: Gets what is found.
            provided: Names that adapters let older code import, by module.
            constants: What those of them have that hold constants, by their name.
        """
        self._sources.report(findings, provided, constants)
        for file in self.code_files:
            if is_hidden(file):
                self._report_hidden(file, findings)
            elif file.startswith(CUSTOM):
                message = "The MMAR brings code; sites decide whether they run it."
                findings.add("MMAR614", message, file=file)
            else:
                message = "A file that is not known to be data counts as code."
                hint = "Move code to custom/; remove what does not belong to the job."
                findings.add("MMAR622", message, file=file, hint=hint)
        for module in sorted(self._sources.top_names()):
            if module in _TAKEN or module in sys.stdlib_module_names:
                message = f"The module '{module}' has the name of an installed module."
                file = self._sources.file(module) or module
                findings.add("MMAR510", message, file=CUSTOM + file, hint="Rename it.")

    def _report_hidden(self, file: str, findings: Findings) -> None:
        """Say once for a hidden folder what would be said of every file in it."""
        folders = file.split("/")[:-1]
        first = next((i for i, part in enumerate(folders) if part.startswith(".")), None)
        what = "A hidden file that" if first is None else "What lies in a hidden folder and"
        shown = file if first is None else "/".join(folders[: first + 1])
        message = f"{what} is not known to be data counts as code."
        findings.add("MMAR622", message, file=shown, hint="Remove what is no part of the job.")

    def _no_module(self, dotted: str, package: list[str]) -> _Problem:
        inner = "/".join(package[1:])
        if f"{package[0]}/" == CUSTOM and inner and self._sources.file(inner):
            message = f"'{dotted}': a class path begins in custom/, not with it."
            return "MMAR508", message, f"Did you mean '{dotted.partition('.')[2]}'?"
        near = did_you_mean(".".join(package), self._names())
        installed = package[0] in _TAKEN or package[0] in sys.stdlib_module_names
        if near is not None or (len(package) == 1 and not installed):
            file = f"custom/{'/'.join(package)}.py"
            message = f"'{dotted}': there is no {file}, and no plugin offers it."
            have = f"custom/ has: {', '.join(self._names())}." if self._sources.files else None
            return "MMAR508", message, near or have
        return "MMAR503", f"No installed plugin offers or allows '{dotted}'.", None

    def _names(self) -> list[str]:
        plain = (m.removesuffix(".py").removesuffix("/__init__") for m in self._sources.files)
        return sorted(name.replace("/", ".") for name in plain)
