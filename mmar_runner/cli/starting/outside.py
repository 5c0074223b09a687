# SPDX-License-Identifier: Apache-2.0
"""Where runs are kept: never inside the MMAR that is run."""

from __future__ import annotations

from pathlib import Path

from mmar_runner.errors import UsageError


def workspace_of(named: Path | None, job: str, mmar: Path | None) -> Path:
    """Return the folder in which runs are kept.

    Args:
        named: What ``--workspace`` said; None for the default.
        job: Names the default: the MMAR, or the project if it is not known yet.
        mmar: The MMAR's folder; None if there is none here.

    Raises:
        UsageError: It lies inside the MMAR: what a run leaves would become part of what is run.
    """
    folder = (named or Path("workspace") / job).absolute()
    if mmar is not None and folder.resolve().is_relative_to(mmar.resolve()):
        msg = f"the workspace {folder} lies inside the MMAR, which would change with every run"
        hint = "start from another folder, or give --workspace a folder outside"
        raise UsageError(msg, hint=hint)
    return folder
