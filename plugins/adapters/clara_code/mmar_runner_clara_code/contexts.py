# SPDX-License-Identifier: Apache-2.0
"""What older code finds in its context."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Any

from mmar_runner_clara_code.api.constants import FLConstants
from mmar_runner_clara_code.api.context import FLContext

if TYPE_CHECKING:
    from mmar_runner.interfaces.client_trainer import TrainerContext


def run_context(told: TrainerContext) -> FLContext:
    """Return the context of a run, for code that is told where the MMAR lies."""
    return FLContext(
        {
            FLConstants.CLIENT_NAME: told.client_name,
            FLConstants.TRAIN_ROOT: str(told.mmar),
            FLConstants.LOG_DIR: str(told.workspace),
            FLConstants.ARGS: arguments(told),
            FLConstants.MY_RANK: told.rank,
            FLConstants.NUM_OF_PROCESSES: told.processes,
            FLConstants.MULTI_GPU: told.processes > 1,
        }
    )


def arguments(told: TrainerContext) -> Namespace:
    """Return what the older program's command line held: files, relative to the MMAR's root."""
    return Namespace(
        mmar=str(told.mmar),
        workspace=str(told.workspace),
        train_config="config/config_train.json",
        validation_config="config/config_validation.json",
        env="config/environment.json",
        log_config="resources/log.config",
        set=None,
        uid=told.client_name,
        local_rank=told.rank,
    )


def set_round(context: FLContext, number: int, rounds: int, **others: Any) -> None:
    """Say which round it is.

    Args:
        context: Is told.
        number: The round.
        rounds: The round to stop at.
        others: Further properties.
    """
    properties = {
        FLConstants.CURRENT_ROUND: number,
        FLConstants.NUM_TOTAL_ROUNDS: rounds,
        **others,
    }
    for key, value in properties.items():
        context.set_prop(key, value)
