# SPDX-License-Identifier: Apache-2.0
"""The Python modules in ``custom/``: what their source says, and what is wrong with it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from mmar_runner.documents.words import did_you_mean
from mmar_runner.mmar.code.installed_names import is_installed
from mmar_runner.mmar.codes import Severity
from mmar_runner.mmar.older.entry import PACKAGES

if TYPE_CHECKING:
    from mmar_runner.mmar.code.module_source import ModuleSource
    from mmar_runner.mmar.finding import Findings
    from mmar_runner.mmar.folder import MmarFolder

CUSTOM: Final = "custom/"
_ENCODING: Final = "Save it as UTF-8, or say its encoding in the first line."
#: A mend for what cannot be installed any more.
_OF_THAT_TIME: Final = "It was a part of the older program: write the module without it."


class OwnSources:
    """The modules of one MMAR, parsed when somebody first asks, and never imported."""

    def __init__(self, folder: MmarFolder) -> None:
        self._folder = folder
        own = (file for file in folder.files if file.startswith(CUSTOM) and file.endswith(".py"))
        #: The files, relative to ``custom/``.
        self.files = sorted(file[len(CUSTOM) :] for file in own)
        self._parsed: dict[str, ModuleSource] | None = None
        self._faults: dict[str, tuple[str, int, int, str | None]] = {}
        #: Those of them that a declaration names: they will be imported.
        self.named: set[str] = set()

    def file(self, slashed: str) -> str | None:
        """Return the file of a module whose parts are parted by slashes, or None."""
        for candidate in (f"{slashed}.py", f"{slashed}/__init__.py"):
            if candidate in self.files:
                return candidate
        return None

    @staticmethod
    def slashed(file: str, module: str) -> str:
        """Return where a module would lie in ``custom/`` that a file names, relative or not."""
        dots = len(module) - len(module.lstrip("."))
        folder = file.split("/")[:-dots] if dots else []
        return "/".join([*folder, *filter(None, module.lstrip(".").split("."))])

    def top_names(self) -> set[str]:
        """Return the names of the modules and packages directly in ``custom/``."""
        return {file.split("/")[0].removesuffix(".py") for file in self.files}

    def get(self, file: str | None) -> ModuleSource | None:
        """Return what a file says; None if it cannot be read, or is none of these."""
        return self._sources().get(file or "")

    def report(
        self,
        findings: Findings,
        provided: Mapping[str, Sequence[str]] = MappingProxyType({}),
        constants: Mapping[str, Sequence[str]] = MappingProxyType({}),
    ) -> None:
        """Say which modules are not Python, and which import what is not there.

        Args:
            findings: Gets what is found.
            provided: Names that adapters let older code import, by module.
            constants: What those of them have that hold constants, by their name.
        """
        adapted = {module.partition(".")[0] for module in provided}
        for file, source in self._sources().items():
            self._report_not_provided(file, source, findings, provided, adapted)
            self._report_no_constant(file, source, findings, provided, constants)
            for package, line in source.imports.items():
                if package not in adapted and not self._has(package):
                    message = f"'{package}' is neither in custom/ nor installed here."
                    place = (line, 1)
                    hint = _OF_THAT_TIME if package in PACKAGES else None
                    findings.add("MMAR520", message, file=CUSTOM + file, position=place, hint=hint)
            for message, line in self._lacking(file, source):
                findings.add(
                    "MMAR520",
                    message,
                    file=CUSTOM + file,
                    position=(line, 1),
                    hint="Define it there, or correct the import.",
                    severity=Severity.ERROR,
                )
        for file, (message, line, column, hint) in self._faults.items():
            said = f"This is not Python: {message.rstrip('.?')}."
            place = (line, max(column, 1))
            findings.add("MMAR519", said, file=CUSTOM + file, position=place, hint=hint)

    def _report_not_provided(
        self,
        file: str,
        source: ModuleSource,
        findings: Findings,
        provided: Mapping[str, Sequence[str]],
        adapted: set[str],
    ) -> None:
        """Say what older code imports of the older programs that no adapter provides."""
        for name, line in source.lines.items():
            module, there = source.origins[name]
            own = self.file(module.replace(".", "/")) is not None
            if own or module.partition(".")[0] not in adapted:
                continue
            if there in provided.get(module, ()) or f"{module}.{there}" in provided:
                continue
            message = f"The adapters provide no '{there}' of '{module}'."
            known = provided.get(module) or sorted(provided)
            near = did_you_mean(there if module in provided else module, known)
            hint = near or f"There {'are' if len(known) > 1 else 'is'}: {', '.join(known)}."
            self._not_provided(findings, (file, line), module, message, hint)

    def _report_no_constant(
        self,
        file: str,
        source: ModuleSource,
        findings: Findings,
        provided: Mapping[str, Sequence[str]],
        constants: Mapping[str, Sequence[str]],
    ) -> None:
        """Say which constants older code asks for that the adapters' classes have not."""
        for name, asked, line in source.asked:
            module, there = source.origins[name]
            known = constants.get(there, ()) if there in provided.get(module, ()) else ()
            if not known or asked in known or asked.startswith("__"):
                continue
            message = f"'{there}' of '{module}' has no '{asked}' here."
            hint = did_you_mean(asked, known) or f"There are: {', '.join(known)}."
            self._not_provided(findings, (file, line), module, message, hint)

    def _not_provided(
        self, findings: Findings, place: tuple[str, int], module: str, message: str, hint: str
    ) -> None:
        file, line = place
        # Who has the program itself installed has its names too, as far as anybody knows.
        certain = file in self._imported() and not is_installed(module.partition(".")[0])
        findings.add(
            "MMAR533",
            message,
            file=CUSTOM + file,
            position=(line, 1),
            hint=hint,
            severity=None if certain else Severity.WARNING,
        )

    def _imported(self) -> set[str]:
        """Return the files that are imported by what is declared, one by the other too."""
        waiting, found = list(self.named), set[str]()
        while waiting:
            file = waiting.pop()
            source = self.get(file)
            if file in found or source is None:
                continue
            found.add(file)
            wanted = [*source.imports, *(source.origins[name][0] for name in source.lines)]
            others = (self.file(self.slashed(file, module)) for module in wanted)
            waiting += [other for other in others if other is not None]
        return found

    def _sources(self) -> dict[str, ModuleSource]:
        if self._parsed is None:
            self._parsed = {file: found for file in self.files if (found := self._parse(file))}
        return self._parsed

    def _parse(self, file: str) -> ModuleSource | None:
        # Deferred: few MMARs bring any.
        from mmar_runner.mmar.code.module_source import (  # noqa: PLC0415
            NotInItsEncodingError,
            parse_module,
        )

        try:
            data = self._folder.read_bytes(CUSTOM + file, self._folder.limits.text_bytes)
        except (OSError, ValueError):
            return None  # it may not be read, which is said, or is larger than is looked into
        try:
            return parse_module(data, deeply=True)
        except SyntaxError as error:
            hint = _ENCODING if isinstance(error, NotInItsEncodingError) else None
            self._faults[file] = (error.msg, error.lineno or 1, error.offset or 1, hint)
        except ValueError as error:
            self._faults[file] = (str(error), 1, 1, None)
        return None

    def _has(self, package: str) -> bool:
        known = package in self.top_names() or package in sys.stdlib_module_names
        return known or is_installed(package)

    def _lacking(self, file: str, source: ModuleSource) -> Iterator[tuple[str, int]]:
        """Yield a sentence and a line for what is imported from ``custom/`` and not there."""
        for name, line in source.lines.items():
            module, there = source.origins[name]
            missing = self._missing(file, module, there)
            if missing is not None:
                yield missing, line

    def _missing(self, file: str, module: str, name: str) -> str | None:
        dots = len(module) - len(module.lstrip("."))
        slashed = self.slashed(file, module)
        parts = slashed.split("/") if slashed else []
        other = self.file(slashed)
        if other is None:
            plain_folder = any(known.startswith(f"{slashed}/") for known in self.files)
            outside = not dots or not parts or plain_folder
            return None if outside else f"There is no custom/{slashed}.py."
        source = self.get(other)
        if source is None or source.all_of or source.makes_names or name in source.names:
            return None
        return None if self.file(f"{slashed}/{name}") else f"custom/{other} has no '{name}'."
