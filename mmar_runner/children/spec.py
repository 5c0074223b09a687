# SPDX-License-Identifier: Apache-2.0
"""What a child process is told to be, and the environment it gets."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

Role = Literal[
    "aggregator",
    "client_trainer",
    "model_persistor",
    "model_validator",
    "filter",
    "codec",
    "expression",
    "description",
]

#: Variables that a child inherits, if set; every other one stays outside.
INHERITED: Final = (
    "CUDA_VISIBLE_DEVICES",
    "HOME",
    "LANG",
    "LC_ALL",
    "LD_LIBRARY_PATH",
    "MMAR_RUNNER_PLUGINS",
    "PATH",
    "PYTHONPATH",
    "SSL_CERT_FILE",
    "TMPDIR",
    "TZ",
    "USER",
    "VIRTUAL_ENV",
    "XDG_CACHE_HOME",
)

#: Variables that fix the number of threads; they count only before the first import.
THREADS: Final = (
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)

#: Variables every child gets: the same seed must give the same bytes, a crash must
#: leave a traceback in the log, and freed memory must go back to the system.
FIXED: Final = {
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
    "MALLOC_ARENA_MAX": "2",
    "PYTHONFAULTHANDLER": "1",
    "PYTHONHASHSEED": "0",
    "PYTHONUNBUFFERED": "1",
}


@dataclass(frozen=True, slots=True)
class ChildContext:
    """What a component in a child is told once: `TrainerContext`, as it goes over a pipe.

    Attributes:
        client_name: The client's name; ``server`` for a component of the server.
        mmar: The MMAR's root folder; empty where a component may not know it.
        workspace: A folder that belongs to this client, or the server, and run; empty for none.
        train_config: ``config_train.json``, its variables replaced; or empty.
        validation_config: ``config_validation.json`` likewise.
        variables: Every variable in force.
        rank: Which of its processes a component is in, from 0.
        processes: In how many it is.
        keeps_best: Whether a trainer will be asked for its best model.
        expressions: Whether expressions that the MMAR holds as text may be evaluated.
        commands: Whether commands that the MMAR declares may be started.
        synthetic: Whether a component works on data that it makes up.
    """

    client_name: str = ""
    mmar: str = ""
    workspace: str = ""
    train_config: Mapping[str, Any] = field(default_factory=dict)
    validation_config: Mapping[str, Any] = field(default_factory=dict)
    variables: Mapping[str, Any] = field(default_factory=dict)
    rank: int = 0
    processes: int = 1
    keeps_best: bool = False
    expressions: bool = False
    commands: bool = False
    synthetic: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the context as a JSON object; what is in it is not copied."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """What a child process is.

    Attributes:
        role: Which kind of component it hosts.
        component: The component's declaration, ``{"name"|"path", "args"}``. A filter
            child takes ``{"filters": [declaration, ...]}``, each with a ``label`` like the one
            below, or none; a trainer child may take
            an empty one and be told its trainers with ``setup``; one for expressions,
            a codec or descriptions hosts none.
        label: What sentences about its component's failures call it, or empty. They go to the
            server: it says nothing of a site's own.
        context: What its component is told; needed by trainers and validators.
        custom_dir: The MMAR's ``custom/`` folder if code in it may be run, else None.
        plugins_dir: A folder of further plugins, or None.
        threads: Threads that arithmetic libraries may use.
        memory_limit_bytes: Address space the child may take, or None for no limit.
        stall_seconds: How long a task may go without a step, once this child has told of
            one, before its parent ends it; None for no limit.
        allowed_path_prefixes: Class paths that the site's policy allows, by what is
            written and by what it leads to; None without a policy.
        launcher: The module that starts the processes of a trainer that works in several
            (see `mmar_runner.children.launcher`). The child then hosts no trainer, and has
            every task done by them; empty for a child that does it itself.
    """

    role: Role
    component: Mapping[str, Any] = field(default_factory=dict)
    label: str = ""
    context: ChildContext = field(default_factory=ChildContext)
    custom_dir: str | None = None
    plugins_dir: str | None = None
    threads: int = 1
    memory_limit_bytes: int | None = None
    stall_seconds: float | None = None
    allowed_path_prefixes: tuple[str, ...] | None = None
    launcher: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the specification as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> ChildSpec:
        """Return the specification in a JSON object that `to_json` made."""
        allowed = value.get("allowed_path_prefixes")
        prefixes = None if allowed is None else tuple(allowed)
        context = ChildContext(**value["context"])
        return cls(**{**value, "context": context, "allowed_path_prefixes": prefixes})


def child_environment(spec: ChildSpec, parent: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the whole environment of a child.

    Args:
        spec: What the child is.
        parent: The parent's environment; the process's own if None.
    """
    source = os.environ if parent is None else parent
    inherited = {name: source[name] for name in INHERITED if name in source}
    # A relative or empty entry would mean the folder a child works in, where others write.
    paths = inherited.pop("PYTHONPATH", "").split(os.pathsep)
    if absolute := [path for path in paths if Path(path).is_absolute()]:
        inherited["PYTHONPATH"] = os.pathsep.join(absolute)
    threads = dict.fromkeys(THREADS, str(spec.threads))
    return {**inherited, **FIXED, **threads}
