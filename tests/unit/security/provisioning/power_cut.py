# SPDX-License-Identifier: Apache-2.0
"""The power fails between two files: the one has its name, the next never gets it."""

from __future__ import annotations

import os
from pathlib import Path


class PowerCut(BaseException):
    """The process ends here."""


def cut_at(monkeypatch, number):
    """Let the n-th file never get its name, neither by a rename nor by a link."""
    left = [number]

    def cutting(real):
        def call(source, target):
            if left[0] == 0:
                raise PowerCut
            left[0] -= 1
            return real(source, target)

        return call

    monkeypatch.setattr(Path, "replace", cutting(os.replace))
    monkeypatch.setattr(os, "link", cutting(os.link))
