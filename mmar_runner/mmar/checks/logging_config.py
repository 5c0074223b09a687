# SPDX-License-Identifier: Apache-2.0
"""``resources/log.config`` as data: level names are taken, nothing in it is executed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from mmar_runner.documents.words import did_you_mean
from mmar_runner.mmar.reading import read_text

if TYPE_CHECKING:
    from mmar_runner.mmar.finding import Findings
    from mmar_runner.mmar.folder import MmarFolder

LOG_CONFIG = "resources/log.config"

_HANDLER = "handler_"
_SECTION = re.compile(r"\[([^\]]+)\]\s*")
_BETWEEN = re.compile(r"[=:]")
# Each repetition keeps what it took (++): whatever stands there is judged in one pass.
_PLAIN_ARGS = re.compile(r"\(\s*+(?:[\w.]++|'[^']*+'|\"[^\"]*+\")?+\s*+(?:,\s*+[\w.'\"]*+\s*+)*+\)")
_LEVELS = frozenset({"DEBUG", "INFO", "WARN", "WARNING", "ERROR", "CRITICAL", "NOTSET"})


def read_levels(folder: MmarFolder, findings: Findings) -> Mapping[str, str]:
    """Return the level of every logger that the file names, ``""`` being the root.

    What cannot be used becomes findings; without the file the answer is empty.
    """
    if (folder.root / LOG_CONFIG).is_dir():
        message = f"{LOG_CONFIG} is a folder."
        hint = "Put the file there in its place, or remove it."
        findings.add("MMAR613", message, file=LOG_CONFIG, hint=hint)
    if LOG_CONFIG not in folder.files:
        return {}
    text = read_text(folder, LOG_CONFIG, findings, folder.limits.text_bytes)
    return _Reading(findings).levels(text) if text is not None else {}


class _Reading:
    """One pass over the lines."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._section = ""
        self._named: dict[str, int] = {}
        self._used: dict[str, int] = {}
        self._options: dict[str, dict[str, str]] = {}

    def levels(self, text: str) -> Mapping[str, str]:
        for number, line in enumerate(text.splitlines(), start=1):
            if line.strip() and not line.lstrip().startswith(("#", ";")):
                self._line(number, line)
        for key, number in self._named.items():
            if f"logger_{key}" not in self._options:
                hint = f"Add the section, or take {key!r} out of the keys."
                self._warn(number, f"There is no section [logger_{key}].", hint)
        self._handlers()
        result = {}
        for section, options in self._options.items():
            if section.startswith("logger_") and options.get("level") in _LEVELS:
                name = options.get("qualname", section.removeprefix("logger_"))
                result["" if section == "logger_root" else name] = options["level"]
        return result

    def _handlers(self) -> None:
        """Report handlers that loggers name and no section describes, if any is described."""
        if not any(section.startswith(_HANDLER) for section in self._options):
            return
        for name, number in self._used.items():
            if _HANDLER + name not in self._options:
                known = [s.removeprefix(_HANDLER) for s in self._options if s.startswith(_HANDLER)]
                hint = did_you_mean(name, known) or f"Add the section, or take {name!r} out."
                self._warn(number, f"There is no section [handler_{name}].", hint)

    def _line(self, number: int, line: str) -> None:
        section, option = _SECTION.fullmatch(line), _option(line)
        if section:
            self._section = section[1]
            if self._section in self._options:
                self._warn(number, f"The section [{section[1]}] stands twice.", "Make them one.")
            self._options.setdefault(self._section, {})
        elif line[0].isspace():
            return  # the rest of a longer value
        elif option and self._section:
            self._option(number, *option)
        else:
            hint = "Write [SECTION] or key=value, or remove the line."
            self._warn(number, "This is neither a section nor an option.", hint)

    def _option(self, number: int, key: str, value: str) -> None:
        self._options[self._section][key] = value
        if (self._section, key) == ("loggers", "keys"):
            names = filter(None, (name.strip() for name in value.split(",")))
            self._named = dict.fromkeys(names, number)
        if key == "handlers" and self._section.startswith("logger_"):
            names = filter(None, (name.strip() for name in value.split(",")))
            self._used.update({name: number for name in names if name not in self._used})
        if key == "level" and value not in _LEVELS:
            hint = f"One of {', '.join(sorted(_LEVELS))}."
            self._warn(number, f"{value!r} is no logging level.", hint)
        if key == "args" and not _PLAIN_ARGS.fullmatch(value):
            hint = "Only level names are taken from this file."
            self._warn(number, "This expression is never executed.", hint)

    def _warn(self, number: int, message: str, hint: str | None) -> None:
        self._findings.add("MMAR613", message, file=LOG_CONFIG, position=(number, 1), hint=hint)


def _option(line: str) -> tuple[str, str] | None:
    """Return key, in lower case, and value of a line; None if it is no option."""
    between = _BETWEEN.search(line)
    key = line[: between.start()].strip().lower() if between else ""
    return (key, line[between.end() :].strip()) if between and key else None
