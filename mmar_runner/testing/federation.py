# SPDX-License-Identifier: Apache-2.0
"""A whole federation in one process: the production server and sessions, in one loop.

    with Federation(mmar, workspace=tmp_path, clients=3) as federation:
        outcome = federation.run()
    assert outcome.status == "finished"

Server and sessions are those that the command line runs, over a real Unix socket, with
real trainer children, or with trainers that a test gives as objects. The event loop
runs in a thread, so that a test stays plain, synchronous code.
"""

from __future__ import annotations

import asyncio
import tempfile
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from mmar_runner.client.session import SessionOutcome, run_session
from mmar_runner.client.settings import SessionSettings
from mmar_runner.errors import MmarInvalidError
from mmar_runner.hooks import load_plugins
from mmar_runner.interfaces.client_trainer import ClientTrainer
from mmar_runner.interfaces.observer import Topic
from mmar_runner.mmar.validation import Validation, validate
from mmar_runner.server.run import run_server
from mmar_runner.server.settings import OWN_CODE_SECONDS, ServerSettings
from mmar_runner.storage.durability import Durability
from mmar_runner.testing.recorder import Recorder
from mmar_runner.testing.trainers import ObjectTrainers

if TYPE_CHECKING:
    from mmar_runner.client.tasks.training import TrainerHosts
    from mmar_runner.hooks import LoadedPlugins
    from mmar_runner.interfaces.observer import Observation, Observer
    from mmar_runner.mmar.spec import MmarSpec
    from mmar_runner.server.settling import RunOutcome

_T = TypeVar("_T")

#: Trainers as objects: by client, or made for a client's name.
Trainers = Mapping[str, ClientTrainer] | Callable[[str], ClientTrainer]


class Federation:
    """One server and its clients. Use it as a context manager.

    Args:
        mmar: The MMAR's folder.
        workspace: Where run and clients keep their files.
        clients: How many clients `run` lets join (named site-1 and so on), or their
            names. The first round waits for all of them.
        variables: ``--set`` values; MIN_NUM_CLIENTS is the number of clients by default.
        seed: The run's seed; None takes the MMAR's.
        trainers: Trainers as objects; None starts the declared ones in children.
        plugins: The plugins in force; None loads what is installed.
        plugins_dir: A folder of further plugins, for children as well; not with ``plugins``.
        allow_byoc: Code in the MMAR's ``custom/`` may run.
        task_timeout: Seconds a task may take, or None.
        durability: What a receipt of the server survives.
        new_run: A run that is unfinished is left as it is.
        retry_failed: A run that has failed is taken up again.

    Attributes:
        server: What the server observed.
        sessions: What each client's session observed, by name.

    Raises:
        MmarInvalidError: The MMAR has findings of severity error.
    """

    def __init__(
        self,
        mmar: Path,
        *,
        workspace: Path,
        clients: int | Sequence[str] = 2,
        variables: Mapping[str, Any] | None = None,
        seed: int | None = None,
        trainers: Trainers | None = None,
        plugins: LoadedPlugins | None = None,
        plugins_dir: Path | None = None,
        allow_byoc: bool = False,
        task_timeout: float | None = None,
        durability: Durability = Durability.PROCESS,
        new_run: bool = False,
        retry_failed: bool = False,
    ) -> None:
        self.names = _names(clients)
        self.server = Recorder()
        self.sessions: dict[str, Recorder] = {}
        self._workspace = workspace
        self._plugins = plugins or load_plugins(plugins_dir=plugins_dir)
        self._variables = {"MIN_NUM_CLIENTS": len(self.names), **(variables or {})}
        self._validation = self._validated(mmar)
        self._seed = seed
        self._trainers = trainers
        self._plugins_dir = plugins_dir
        self._allow_byoc = allow_byoc
        self._task_timeout = task_timeout
        self._durability = durability
        self._new_run = new_run
        self._retry_failed = retry_failed
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="federation")
        self._socket = tempfile.TemporaryDirectory(prefix="mmar-", dir="/tmp")
        self._serving: tuple[Future[RunOutcome], asyncio.Event] | None = None
        self._joined: dict[str, tuple[Future[SessionOutcome], asyncio.Event]] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self._joined):
            self._end(self._joined.pop(name))
        if self._serving is not None:
            self._end(self._serving)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._socket.cleanup()

    def run(self, *, timeout: float = 60.0) -> RunOutcome:
        """Serve, let every client join, and wait until the run has ended.

        Args:
            timeout: Seconds it may take.

        Raises:
            TimeoutError: It took longer.
            MmarRunnerError: The run could not begin.
        """
        self.serve()
        for name in self.names:
            self.join(name)
        return self.wait(timeout=timeout)

    def serve(self, *, expected_clients: int | None = None) -> None:
        """Start the server and wait until it accepts connections.

        Args:
            expected_clients: The first round waits for so many; None takes all that
                the federation was made for.

        Raises:
            MmarRunnerError: The run could not begin.
        """
        settings = ServerSettings(
            spec=self._spec(),
            workspace=self._workspace,
            listen=self._target,
            seed=self._seed,
            durability=self._durability,
            new_run=self._new_run,
            retry_failed=self._retry_failed,
            expected_clients=expected_clients or len(self.names),
            variables=self._variables,
            plugins_dir=self._plugins_dir,
            allow_byoc=self._allow_byoc,
            task_timeout=self._task_timeout or OWN_CODE_SECONDS,
        )
        stop = asyncio.Event()
        gate = _Gate(self.server)
        serving = self._submit(run_server(settings, self._plugins, gate, stop))
        serving.add_done_callback(lambda _: gate.opened.set())
        self._serving = (serving, stop)
        gate.opened.wait()
        if serving.done():
            serving.result()

    def join(
        self, name: str, *, workspace: Path | None = None, spec: MmarSpec | None = None
    ) -> Future[SessionOutcome]:
        """Let a client join and return the future of its session's outcome.

        Args:
            name: The client's name.
            workspace: The client's folder; None takes one in the workspace.
            spec: What the client runs; None takes the federation's MMAR.
        """
        settings = SessionSettings(
            spec=spec or self._spec(name),
            target=self._target,
            name=name,
            workspace=workspace or self._workspace / "clients" / name,
            allow_byoc=self._allow_byoc,
            allow_expressions=self._allow_byoc,
            task_timeout=self._task_timeout,
            plugins_dir=self._plugins_dir,
        )
        recorder = self.sessions.setdefault(name, Recorder())
        stop = asyncio.Event()
        session = run_session(settings, self._plugins, recorder, stop, children=self._hosts())
        joined = self._submit(session)
        self._joined[name] = (joined, stop)
        return joined

    def leave(self, name: str, *, timeout: float = 30.0) -> SessionOutcome:
        """Let a client leave and return how its session ended."""
        joined, stop = self._joined.pop(name)
        self._loop.call_soon_threadsafe(stop.set)
        return joined.result(timeout)

    def wait(self, *, timeout: float = 60.0) -> RunOutcome:
        """Wait until the run has ended.

        Raises:
            TimeoutError: It took longer than ``timeout`` seconds.
            MmarRunnerError: The run could not go on.
        """
        if self._serving is None:
            msg = "nothing is being served"
            raise ValueError(msg)
        return self._serving[0].result(timeout)

    def stop(self, *, timeout: float = 30.0) -> RunOutcome:
        """Stop the server in order; `serve` resumes the run."""
        if self._serving is None:
            msg = "nothing is being served"
            raise ValueError(msg)
        self._loop.call_soon_threadsafe(self._serving[1].set)
        return self.wait(timeout=timeout)

    @property
    def _target(self) -> str:
        return f"unix:{self._socket.name}/server"

    def _validated(self, mmar: Path) -> Validation:
        validation = validate(mmar, self._plugins.registry, settings=self._variables)
        if not validation.report.valid:
            found = "; ".join(f"{f.code} {f.message}" for f in validation.report.findings)
            raise MmarInvalidError(f"{mmar}: {found}")
        return validation

    def _spec(self, client: str = "site-1") -> MmarSpec:
        spec = self._validation.spec_for(client)
        if spec is None:
            raise MmarInvalidError("the folder cannot be read as an MMAR")
        return spec

    def _hosts(self) -> TrainerHosts | None:
        trainers = self._trainers
        if trainers is None:
            return None
        make = trainers if callable(trainers) else trainers.__getitem__
        return ObjectTrainers(make, self._plugins.registry)

    def _submit(self, work: Coroutine[Any, Any, _T]) -> Future[_T]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def _end(self, running: tuple[Future[Any], asyncio.Event]) -> None:
        future, stop = running
        self._loop.call_soon_threadsafe(stop.set)
        future.exception(timeout=30.0)


class _Gate:
    """Passes observations on, and opens once the server accepts connections."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self.opened = threading.Event()

    def observe(self, observation: Observation) -> None:
        self._observer.observe(observation)
        if observation.topic is Topic.LISTENING:
            self.opened.set()


def _names(clients: int | Sequence[str]) -> list[str]:
    if isinstance(clients, int):
        return [f"site-{index}" for index in range(1, clients + 1)]
    return list(clients)
