# SPDX-License-Identifier: Apache-2.0
"""Where parts of a workflow may write: below the client's workspace, and nowhere else.

Archives name folders relative to themselves, such as ``models``. Whatever is written there
belongs to one run at one site, and never into the MMAR.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.errors import TaskFailedError

if TYPE_CHECKING:
    from mmar_runner.interfaces.client_trainer import TrainerContext

#: Arguments of MONAI's and Ignite's parts that name a folder or file to be written.
_WRITTEN: Final = ("save_dir", "log_dir", "output_dir", "cache_dir", "dirname", "folder_path")


def writes(arguments: Mapping[str, Any]) -> bool:
    """Return whether a part with such arguments writes files."""
    return any(isinstance(arguments.get(name), str) for name in _WRITTEN)


def inside_workspace(arguments: Mapping[str, Any], context: TrainerContext) -> dict[str, str]:
    """Return the arguments that name a folder to write to, leading into the workspace.

    Args:
        arguments: Of a part.
        context: Whose workspace it is.

    Raises:
        TaskFailedError: One of them leads elsewhere.
    """
    return {
        name: str(_inside(str(arguments[name]), context))
        for name in _WRITTEN
        if isinstance(arguments.get(name), str)
    }


def _inside(written: str, context: TrainerContext) -> Path:
    path = Path(written)
    if path.is_relative_to(context.mmar):
        path = path.relative_to(context.mmar)
    root = context.workspace.resolve()
    whole = (root / path).resolve()
    if not whole.is_relative_to(root):
        raise TaskFailedError(
            f"a part of the workflow would write to {written}, outside the client's workspace",
            hint="name a folder relative to the MMAR, such as MMAR_CKPT_DIR: models",
        )
    whole.mkdir(parents=True, exist_ok=True)
    return whole
