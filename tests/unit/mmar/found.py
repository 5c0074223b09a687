# SPDX-License-Identifier: Apache-2.0
"""What was found in a folder, in short."""

from __future__ import annotations


def codes(findings):
    """Return code and file of each finding."""
    return [(f.code, f.file) for f in findings]
