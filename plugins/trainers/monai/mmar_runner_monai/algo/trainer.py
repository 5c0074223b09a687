# SPDX-License-Identifier: Apache-2.0
"""Trains with whatever is written to MONAI's ``ClientAlgo`` interface."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from monai.fl.utils.constants import ExtraItems, FlStatistics, WeightType
from monai.fl.utils.exchange_object import ExchangeObject

from mmar_runner.errors import MmarRunnerError, TaskFailedError
from mmar_runner.hooks import raised
from mmar_runner.interfaces.aggregator import UpdateKind
from mmar_runner.interfaces.client_trainer import ClientTrainer, TrainerContext, TrainResult
from mmar_runner_monai.algo.app import app_folder
from mmar_runner_monai.algo.exchange import given, numbers, update_of
from mmar_runner_monai.bundle.guard import guard
from mmar_runner_monai.bundle.permission import require_permission
from mmar_runner_monai.folders import Place
from mmar_runner_monai.walls import WALLS
from mmar_runner_monai.writing import WRITING
from mmar_runner_torch.best_local import BestLocal
from mmar_runner_torch.determinism import seed_everything, use_deterministic_algorithms
from mmar_runner_torch.files import State, read_state, write_state

if TYPE_CHECKING:
    from pathlib import Path

    from mmar_runner.interfaces.catalog import Blueprint
    from mmar_runner.interfaces.client_trainer import TrainTask

#: What an algorithm must have, and what it may lack.
_NEEDED: Final = ("train", "get_weights")
_ROOT: Final = "bundle_root"
#: What MONAI's trainers say of where they are, which is no measure of anything.
_POSITIONS: Final = frozenset(
    {"rank", "current_epoch", "current_iteration", "total_epochs", "total_iterations"}
)
_LOG: Final = logging.getLogger(__name__)


class ClientAlgoTrainer(ClientTrainer):
    """Has a ``ClientAlgo`` train and evaluate.

    It is built and initialized once, and then given every round's model. What it keeps in memory
    from round to round, such as an optimizer's state, is gone with its process; what it saves in
    its folder (``ExtraItems.APP_ROOT``, a copy of the MMAR) stays for the run.

    Args:
        algo: The algorithm.
        send: ``weights`` or ``weight_diff``, whichever the algorithm returns.
        tensors: ``torch`` or ``numpy``, as the algorithm takes them.
        evaluate: Whether it is asked for metrics of received models.
        num_samples: The weight of an update; None for the iterations that it says it executed.
    """

    def __init__(
        self,
        algo: Blueprint,
        send: str = "weights",
        *,
        tensors: str = "torch",
        evaluate: bool = True,
        num_samples: float | None = None,
    ) -> None:
        self._blueprint = algo
        self._send = UpdateKind(send)
        self._tensors = tensors
        self._evaluates = evaluate
        self._num_samples = num_samples
        self._algo: Any = None
        self._extra: dict[str, Any] = {}

    def unknown_network(self) -> str:
        """Return why nothing is said of the network."""
        return (
            "an algorithm says nothing of its network before it is initialized, which reads data; "
            "a bundle's network is known to the algorithm alone"
        )

    def setup(self, context: TrainerContext) -> None:
        """Build and initialize the algorithm.

        Raises:
            NotAuthorizedError: EXPRESSIONS_NOT_ALLOWED, its bundle asks for what the site refuses.
            TaskFailedError: It is none, or raised.
        """
        use_deterministic_algorithms()
        seed_everything(0)  # what is not shared begins alike at every site
        self._context = context
        app = app_folder(context.mmar, context.workspace)
        # As it was accepted: what is written beside the copy does not become code.
        own = context.mmar.resolve() / "custom"
        if context.expressions:
            WALLS.allow_configurations()
        else:
            guard(app, own if own.is_dir() else None, Place(context.workspace, context.mmar))
            if context.alone and not own.is_dir():
                WRITING.allow(context.workspace)
        root = self._blueprint.args.get(_ROOT)
        if isinstance(root, str):
            require_permission(context, app / root, self._blueprint.args)
        if own.is_dir() and str(own) not in sys.path:
            sys.path.append(str(own))  # behind everything: it hides nothing that is installed
        self._extra = {ExtraItems.CLIENT_NAME: context.client_name, ExtraItems.APP_ROOT: str(app)}
        self._begin()

    def _begin(self) -> None:
        """Build and initialize the algorithm, if there is none."""
        if self._algo is not None:
            return
        self._algo = self._blueprint.build()
        if lacks := [name for name in _NEEDED if not callable(getattr(self._algo, name, None))]:
            msg = f"{self._blueprint.name} is no ClientAlgo: it has no {lacks[0]}"
            raise TaskFailedError(msg, hint="derive it from monai.fl.client.ClientAlgo")
        self._call("initialize")

    def train(self, task: TrainTask) -> TrainResult:
        """Evaluate the global model, have it trained, write the update.

        Raises:
            TaskFailedError: The algorithm raised, or says that it trained nothing. Where it raised,
                the next task has a new one: this one may be anywhere.
        """
        WRITING.expect(task.update, folder=task.new_state)
        self._begin()
        received = read_state(task.model)
        extra = {"current_round": task.round, "total_rounds": task.num_rounds, "seed": task.seed}
        with self._given_up_if_it_raises():
            validation = self._measured(received) if task.validate else {}
            seed_everything(task.seed)
            self._call("train", self._exchange(received), told=extra)
            returned = self._call("get_weights", told=extra)
        statistics = numbers(getattr(returned, "statistics", None))
        self._require_trained(statistics)
        update = update_of(returned, received, self._send)
        write_state(task.update, update)
        self._keep_best(returned, received)
        metrics = {name: value for name, value in statistics.items() if name not in _POSITIONS}
        return TrainResult(self._weight(statistics), metrics, validation, self._send)

    def validate(self, model: Path) -> Mapping[str, float]:
        """Return what the algorithm's ``evaluate`` says of a model file."""
        self._begin()
        with self._given_up_if_it_raises():
            return self._measured(read_state(model))

    def best_model(self, destination: Path) -> Mapping[str, float] | None:
        """Write the best model that was trained here, by the algorithm's own metrics."""
        WRITING.expect(destination)
        return BestLocal(self._context.workspace).write(destination)

    def close(self) -> None:
        """Have the algorithm finalized."""
        if self._algo is not None:
            self._call("finalize", optional=True)

    @contextmanager
    def _given_up_if_it_raises(self) -> Iterator[None]:
        """Let go of an algorithm that raised: an engine of it would go on where it stopped.

        Raises:
            TaskFailedError: What was raised, whatever becomes of ``abort``.
        """
        try:
            yield
        except TaskFailedError:
            try:
                self._call("abort", optional=True)
            except TaskFailedError as error:
                _LOG.warning("%s", error.message)
            self._algo = None
            raise

    def _require_trained(self, statistics: Mapping[str, float]) -> None:
        if statistics.get(FlStatistics.NUM_EXECUTED_ITERATIONS, 1.0) <= 0:
            msg = f"{self._blueprint.name} says that it executed no iteration"
            raise TaskFailedError(msg, hint="an update without training has no weight")

    def _weight(self, statistics: Mapping[str, float]) -> float:
        if self._num_samples is not None:
            return self._num_samples
        return statistics.get(FlStatistics.NUM_EXECUTED_ITERATIONS, 1.0)

    def _keep_best(self, returned: Any, received: State) -> None:
        if not self._context.keeps_best:
            return
        trained = update_of(returned, received, UpdateKind.WEIGHTS)
        with self._given_up_if_it_raises():
            measured = self._measured(trained)
        BestLocal(self._context.workspace).consider(trained, measured)

    def _measured(self, state: State) -> Mapping[str, float]:
        if not self._evaluates:
            return {}
        try:
            answer = self._call("evaluate", self._exchange(state))
        except _NotImplementedError:
            _LOG.info("%s evaluates nothing", self._blueprint.name)
            self._evaluates = False
            return {}
        return numbers(getattr(answer, "metrics", None))

    def _exchange(self, state: State) -> ExchangeObject:
        return ExchangeObject(weights=given(state, self._tensors), weight_type=WeightType.WEIGHTS)

    def _call(
        self,
        name: str,
        *data: Any,
        optional: bool = False,
        told: Mapping[str, Any] | None = None,
    ) -> Any:
        method = getattr(self._algo, name, None)
        if not callable(method):
            if name in {"initialize", "evaluate"} or optional:
                return None
            raise TaskFailedError(f"{self._blueprint.name} has no {name}")
        with _place(f"{self._blueprint.name}.{name}"):
            return method(*data, extra={**self._extra, **(told or {})})


class _NotImplementedError(TaskFailedError):
    """An algorithm leaves out what the interface offers."""


@contextmanager
def _place(method: str) -> Iterator[None]:
    """Say which method raised; a refusal of ours that was wrapped on its way comes out again.

    Raises:
        TaskFailedError: The method raised.
    """
    try:
        yield
    except NotImplementedError as error:
        raise _NotImplementedError(f"{method} is not implemented: {raised.told(error)}") from error
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, MmarRunnerError):
                raise cause from error
            cause = cause.__cause__ or cause.__context__
        raise TaskFailedError(f"{method} raised {_told(error)}") from error


def _told(error: Exception) -> str:
    """Return what was raised; MONAI wraps what a class of a bundle raised and leaves out why."""
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    if cause is error or str(cause) in str(error):
        return raised.told(error)
    return f"{raised.told(error)}: {raised.told(cause)}"
