# SPDX-License-Identifier: Apache-2.0
"""A Ray cluster: one of this machine's own for one simulation, or one that is there.

Ray is imported when a simulation asks for it, and not before: it may not be installed.
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import tempfile
import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from mmar_runner import __version__
from mmar_runner.errors import ChildDiedError, UsageError
from mmar_runner.simulation.parcels import pack
from mmar_runner.simulation.ray_starting import joined, started
from mmar_runner.simulation.ray_worker import RayWorker
from mmar_runner.storage.atomic import translated
from mmar_runner.waiting.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Callable

    from mmar_runner.children.spec import ChildSpec

#: Models that are kept in the object store: a round's, and what is still fetched of older ones.
_MODELS: Final = 4
#: Calls that a worker takes at once: one task, and questions about its memory.
_AT_ONCE: Final = 4


class RayCluster:
    """A cluster in use.

    Attributes:
        workers: How many tasks it can do at once.
        errors: What Ray raises when a worker, or an object, is gone.
    """

    def __init__(self, address: str | None, processes: int) -> None:
        self._address = address
        self._processes = processes
        # Ray's processes end with the thread that started them.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ray")
        self._scratch: str | None = None
        self._putting = threading.Lock()
        self._models: OrderedDict[str, Any] = OrderedDict()
        self._folders: dict[str, Any] = {}
        self._ray: Any = None
        self.workers = 0
        self.errors: tuple[type[Exception], ...] = ()

    @classmethod
    async def begin(cls, address: str | None, processes: int) -> Self:
        """Start a cluster here, or join one.

        Args:
            address: ``host:port`` of one that is there, of which this machine is a part; None
                starts one.
            processes: How many tasks one of this machine's own does at once.

        Raises:
            UsageError: RAY_MISSING, it is not installed; RAY_ADDRESS, no cluster is there.
        """
        cluster = cls(address, processes)
        try:
            await cluster._call(cluster._begin)
        except BaseException:
            await cluster.end()
            raise
        return cluster

    async def end(self) -> None:
        """Leave the cluster; end one of this machine's own, with all its processes."""
        if self._ray is not None:
            await self._call(self._ray.shutdown)
        self._thread.shutdown()
        if self._scratch is not None:
            await in_thread(shutil.rmtree, self._scratch, ignore_errors=True)

    async def worker(self, spec: ChildSpec) -> Any:
        """Start a worker for trainers of one MMAR.

        Raises:
            ChildDiedError: It does not start.
            UsageError: RAY_VERSION, another version of the runner is installed there.
        """
        options = {"num_cpus": 1, "max_concurrency": _AT_ONCE, "max_restarts": 0}
        made = self._ray.remote(RayWorker).options(**options).remote(self._scratch)
        begun = False
        try:
            version = await made.version.remote()
            if version != __version__:
                msg = f"a Ray worker has mmar-runner {version}, and this machine {__version__}"
                hint = "install the same version, and the same plugins, on every node"
                raise UsageError(msg, reason="RAY_VERSION", hint=hint)
            for name, folder in _folders(spec).items():
                await made.equip.remote(name, await self._folder(folder, name))
            begun = True
        except self.errors as error:
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            msg = f"a Ray worker cannot begin: {first}"
            hint = "every node needs mmar-runner and the plugins of the MMAR, as this machine has"
            raise ChildDiedError(msg, hint=hint) from error
        finally:
            if not begun:
                self.end_worker(made)  # it would hold its processor
        return made

    def end_worker(self, worker: Any) -> None:
        """End a worker at once."""
        self._ray.kill(worker)

    def cancel(self, asked: Any) -> None:
        """Give up what was asked of a worker."""
        self._ray.cancel(asked)

    async def model(self, path: str) -> tuple[str, Any]:
        """Return what names a model's content, and where the object store has it.

        One content is put there once, however many clients are to train it.

        Raises:
            StorageError: The file cannot be read.
        """
        return await in_thread(self._model, Path(path))

    def _model(self, path: Path) -> tuple[str, Any]:
        import numpy as np  # noqa: PLC0415 - the object store hands an array on without a copy

        with self._putting, translated(path):
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            if digest not in self._models:
                self._models[digest] = self._ray.put(np.fromfile(path, dtype=np.uint8))
                while len(self._models) > _MODELS:
                    self._models.popitem(last=False)
            return digest, self._models[digest]

    async def _folder(self, folder: Path, name: str) -> Any:
        if name not in self._folders:
            # The MMAR's name is its folder's: a place of its own at the worker.
            parcel = await in_thread(pack, folder)
            self._folders[name] = self._ray.put(parcel)
        return self._folders[name]

    async def _call(self, call: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    def _begin(self) -> None:
        if self._address is None:
            self._scratch = tempfile.mkdtemp(prefix="mmar-")
            self._ray = started(self._processes, self._scratch)
        else:
            self._ray = joined(self._address)
        self.errors = (self._ray.exceptions.RayError,)
        self.workers = max(1, int(self._ray.cluster_resources().get("CPU", 0)))


def _folders(spec: ChildSpec) -> dict[str, Path]:
    """Return what every worker needs, by the name that it has there."""
    mmar = Path(spec.context.mmar)
    found = {f"mmar/{mmar.name}": mmar}
    if spec.plugins_dir is not None:
        found["plugins"] = Path(spec.plugins_dir)
    return found
