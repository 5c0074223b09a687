# SPDX-License-Identifier: Apache-2.0
"""``env``: the harmless part of this process's environment."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from mmar_runner.shell.arguments import Syntax, parsed
from mmar_runner.shell.output import Page, ShellOutput

if TYPE_CHECKING:
    from mmar_runner.shell.paths import Root

ENV: Final = Syntax("env", "env")
#: Names that are shown; all others are not.
_HARMLESS: Final = re.compile(
    r"PATH|LANG|LC_[A-Z]+|TZ|CUDA_VISIBLE_DEVICES|NVIDIA_VISIBLE_DEVICES"
    r"|(PYTHON|OMP_|MKL_|MMAR_RUNNER_)[A-Z0-9_]*"
)
_SECRET_NAME: Final = re.compile(r"TOKEN|KEY|SECRET|PASSW|CREDENTIAL")
#: A name and a password in an address.
_SECRET_VALUE: Final = re.compile(r"://[^/\s]*@")


def env(words: Sequence[str], root: Root) -> ShellOutput:  # noqa: ARG001 - as every command
    """Show variables of this process: those of a short list, and no value that may be secret.

    Raises:
        UsageError: It was called wrongly.
    """
    parsed(ENV, words)
    page = Page()
    for line in _shown(os.environ):
        page.write(line)
    return page.finished()


def _shown(environment: Mapping[str, str]) -> list[str]:
    lines = []
    for name, value in sorted(environment.items()):
        if not _HARMLESS.fullmatch(name):
            continue
        secret = _SECRET_NAME.search(name) or _SECRET_VALUE.search(value)
        # A line break in a value would look like a variable of its own.
        one_line = value.replace("\n", "\\n").replace("\t", "\\t")
        lines.append(f"{name}={'(not shown)' if secret else one_line}\n")
    return lines
