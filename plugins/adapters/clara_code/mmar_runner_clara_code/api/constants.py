# SPDX-License-Identifier: Apache-2.0
"""Names of keys and values. A name that is not here raises an error that lists those that are."""

from __future__ import annotations

from typing import Any, Final, NoReturn


class Named(type):
    """A class of constants that says which there are when it is asked for another."""

    def __getattr__(cls, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        known = ", ".join(key for key in vars(cls) if not key.startswith("_"))
        msg = f"{cls.__name__} has no {name!r} in mmar_runner_clara_code; it has: {known}"
        raise AttributeError(msg)


class ShareableKey(metaclass=Named):
    """Keys of a shareable."""

    TYPE: Final = "type"
    DATA_TYPE: Final = "data_type"
    MODEL_WEIGHTS: Final = "model_weights"
    META: Final = "meta"
    METRICS: Final = "metrics"
    DATA: Final = "data"


class ShareableValue(metaclass=Named):
    """Values of `ShareableKey.TYPE` and `ShareableKey.DATA_TYPE`."""

    TYPE_WEIGHTS: Final = "weights"
    TYPE_WEIGHT_DIFF: Final = "weight_diff"
    TYPE_METRICS: Final = "metrics"
    DATA_TYPE_UNENCRYPTED: Final = "unencrypted"
    DATA_TYPE_ENCRYPTED: Final = "encrypted"


class FLConstants(metaclass=Named):
    """Keys of a context, and of a shareable's meta data."""

    ARGS: Final = "args"
    CLIENT_NAME: Final = "client_name"
    CURRENT_LEARNING_RATE: Final = "current_learning_rate"
    CURRENT_ROUND: Final = "current_round"
    CURRENT_RUN: Final = "current_run"
    INITIAL_METRICS: Final = "initial_metrics"
    LOG_DIR: Final = "log_dir"
    MODEL_NETWORK: Final = "model_network"
    MULTI_GPU: Final = "multi_gpu"
    MY_RANK: Final = "my_rank"
    NUM_OF_PROCESSES: Final = "num_of_processes"
    NUM_STEPS_CURRENT_ROUND: Final = "n_iter"
    NUM_TOTAL_ROUNDS: Final = "num_total_rounds"
    PEER_CONTEXT: Final = "peer_context"
    SHAREABLE: Final = "shareable"
    START_ROUND: Final = "start_round"
    TRAIN_CONTEXT: Final = "train_context"
    TRAIN_ROOT: Final = "train_root"


class FLContextKey(metaclass=Named):
    """Keys of a context, as the last releases of that time call them."""

    APP_ROOT: Final = FLConstants.TRAIN_ROOT
    ARGS: Final = FLConstants.ARGS
    CLIENT_NAME: Final = FLConstants.CLIENT_NAME
    CURRENT_RUN: Final = FLConstants.CURRENT_RUN
    NUM_OF_PROCESSES: Final = FLConstants.NUM_OF_PROCESSES
    PEER_CONTEXT: Final = FLConstants.PEER_CONTEXT
    RANK_NUMBER: Final = FLConstants.MY_RANK
    SHAREABLE: Final = FLConstants.SHAREABLE


class AppConstants(metaclass=Named):
    """Keys of a round, as the last releases of that time call them."""

    CONTRIBUTION_ROUND: Final = FLConstants.CURRENT_ROUND
    CURRENT_ROUND: Final = FLConstants.CURRENT_ROUND
    NUM_ROUNDS: Final = FLConstants.NUM_TOTAL_ROUNDS
    START_ROUND: Final = FLConstants.START_ROUND


class ReservedKey(metaclass=Named):
    """Keys of what a peer says of itself."""

    IDENTITY_NAME: Final = FLConstants.CLIENT_NAME


class ReservedHeaderKey(metaclass=Named):
    """Keys of a shareable's headers."""

    RC: Final = "return_code"


class ReturnCode(metaclass=Named):
    """How a piece of work ended."""

    OK: Final = "OK"
    BAD_TASK_DATA: Final = "BAD_TASK_DATA"
    EMPTY_RESULT: Final = "EMPTY_RESULT"
    ERROR: Final = "ERROR"
    EXECUTION_EXCEPTION: Final = "EXECUTION_EXCEPTION"
    TASK_ABORTED: Final = "TASK_ABORTED"


class EventType(metaclass=Named):
    """What happens in a run, to a component of it."""

    START_RUN: Final = "start_run"
    END_RUN: Final = "end_run"
    BEFORE_AGGREGATION: Final = "before_aggregation"
    END_AGGREGATION: Final = "end_aggregation"
    ROUND_STARTED: Final = "round_started"
    ROUND_DONE: Final = "round_done"


class AppEventType(metaclass=Named):
    """What happens in a round, as the last releases of that time call it."""

    BEFORE_AGGREGATION: Final = EventType.BEFORE_AGGREGATION
    END_AGGREGATION: Final = EventType.END_AGGREGATION
    ROUND_DONE: Final = EventType.ROUND_DONE
    ROUND_STARTED: Final = EventType.ROUND_STARTED


#: These classes by name.
CONSTANTS: Final[dict[str, type]] = {
    one.__name__: one
    for one in (
        *(ShareableKey, ShareableValue, FLConstants, FLContextKey, AppConstants, ReservedKey),
        *(ReservedHeaderKey, ReturnCode, EventType, AppEventType),
    )
}


def constants_of(cls: type) -> dict[str, Any]:
    """Return the constants of one of these classes, by name."""
    return {key: value for key, value in vars(cls).items() if not key.startswith("_")}
