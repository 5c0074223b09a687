# SPDX-License-Identifier: Apache-2.0
"""What the files of ``deploy/`` say, read as the programs they are written for would read them."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"


@dataclass(frozen=True)
class Containerfile:
    """The instructions of a container file, in order, with continued lines joined."""

    instructions: tuple[tuple[str, str], ...]

    @classmethod
    def read(cls) -> Containerfile:
        lines = (DEPLOY / "Containerfile").read_text().splitlines()
        text = "\n".join(line for line in lines if not line.startswith("#"))
        joined = re.sub(r"\\\n\s*", "", text)
        return cls(
            tuple(
                (word, rest.strip())
                for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line)
            )
        )

    def all(self, word: str, *, stage: int = -1) -> list[str]:
        """Return what follows a word, in a stage; the last is what runs."""
        begins = [n for n, (name, _) in enumerate(self.instructions) if name == "FROM"]
        ends = [*begins[1:], len(self.instructions)]
        begun, ended = list(zip(begins, ends, strict=True))[stage]
        return [rest for name, rest in self.instructions[begun:ended] if name == word]

    def words(self, word: str) -> list[str]:
        """Return the only instruction of a kind, which is in exec form."""
        [text] = self.all(word)
        words = json.loads(text)
        assert isinstance(words, list)
        return words

    @property
    def health(self) -> list[str]:
        [text] = self.all("HEALTHCHECK")
        words: list[str] = json.loads(text.partition("CMD ")[2])
        return words

    @property
    def plugins(self) -> list[str]:
        [text] = self.all("ARG", stage=0)
        assert text.startswith('PLUGINS="')
        return shlex.split(text.partition("=")[2])[0].split()


class Service:
    """One service of the compose file, in a federation's folder."""

    def __init__(self, name: str, federation: Path) -> None:
        self.name = name
        self.facts: Mapping[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())[
            "services"
        ][name]
        self._mounts = {}
        for volume in self.facts["volumes"]:
            source, target, *_ = volume.replace(
                "${FEDERATION:-./federation}", str(federation)
            ).split(":")
            self._mounts[target] = source

    def here(self, words: list[str]) -> list[str]:
        """Return words of a command with the container's paths as they are outside."""
        return [self._mounts.get(word, word) for word in words]


class Unit:
    """A systemd unit, started in a scratch folder in place of the system's.

    Args:
        file: Its file's name.
        instance: What stands after the ``@``.
        system: Stands for ``/``.
    """

    def __init__(self, file: str, system: Path, instance: str = "") -> None:
        self._system, self._instance = system, instance
        self.lines: list[tuple[str, str]] = []
        for line in (DEPLOY / "systemd" / file).read_text().splitlines():
            if line and line[0] not in "#[":
                key, _, value = line.partition("=")
                self.lines.append((key, value.replace("%i", instance)))

    def __getitem__(self, key: str) -> str:
        [value] = [value for name, value in self.lines if name == key]
        return value

    def path(self, path: str) -> Path:
        """Return where a path of the system lies here."""
        return self._system / path.lstrip("/")

    @property
    def environment(self) -> dict[str, str]:
        named = self["EnvironmentFile"]
        file = self.path(named.removeprefix("-"))
        if named.startswith("-") and not file.exists():
            return {}
        pairs = (line.partition("=") for line in file.read_text().splitlines() if line)
        return {key: value for key, _, value in pairs}

    def command(self, key: str) -> list[str]:
        """Return the words of an ``Exec`` line: a lone ``$NAME`` is split, and goes if empty."""
        words: list[str] = []
        for word in shlex.split(self[key].removeprefix("-")):
            if word.startswith("$"):
                words += self.environment.get(word[1:], "").split()
            else:
                words.append(word)
        program, *rest = words
        assert program == "/opt/mmar-runner/bin/mmar-runner"
        return [str(self.path(word)) if word.startswith("/") else word for word in rest]
