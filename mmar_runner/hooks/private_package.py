# SPDX-License-Identifier: Apache-2.0
"""Python files of a folder, importable under a name that collides with nothing.

``sys.path`` stays as it is: a file called ``random.py`` in such a folder is
``_mmar_runner_plugins_1f2e….random`` and can shadow no module of anybody else.
"""

from __future__ import annotations

import hashlib
import sys
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def private_package(purpose: str, folder: Path) -> str:
    """Make the folder a package of a private name and return that name.

    The name depends on the folder's real path only, so it is the same in every process.
    """
    path = folder.resolve()
    digest = hashlib.sha256(str(path).encode()).hexdigest()[:12]
    name = f"_mmar_runner_{purpose}_{digest}"
    if name not in sys.modules:
        spec = ModuleSpec(name, loader=None, is_package=True)
        spec.submodule_search_locations = [str(path)]
        sys.modules[name] = module_from_spec(spec)
    return name
