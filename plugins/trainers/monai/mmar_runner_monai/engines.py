# SPDX-License-Identifier: Apache-2.0
"""Engines: run so that a failure comes out, and says where it came from."""

from __future__ import annotations

import logging
import traceback
from typing import TYPE_CHECKING, Any, Final

import ignite.distributed.utils
from ignite.engine import Events

from mmar_runner.errors import MmarRunnerError, TaskFailedError
from mmar_runner_monai.items import cause_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

_log = logging.getLogger(__name__)

#: Loggers by which MONAI and Ignite tell what handlers print.
_LOGGERS: Final = ("monai", "ignite")
#: As in the archives' own log.config.
_FORMAT: Final = "%(asctime)s - %(name)s - %(levelname)s - %(message)s"
#: What data, network and transforms raise where they do not fit each other.
UNFIT: Final = (RuntimeError, ValueError, TypeError, LookupError, AttributeError, AssertionError)


def guard_failures(engine: Any, where: str, parts: Mapping[str, object]) -> None:
    """See to it that what goes wrong in an engine ends its run with a sentence.

    Handlers for that event come later, and none of them can keep an error to itself. The next run
    of the engine begins anew, whoever calls it: a run that may be resumed keeps its generator,
    which is spent after an error, and what comes next would end at once and as if in order.

    Args:
        engine: Newly built.
        where: What its section is called in messages.
        parts: What its steps are done by, by what it is called in messages.
    """

    def come_out(_: Any, error: BaseException) -> None:
        if isinstance(error, MmarRunnerError) or not isinstance(error, UNFIT):
            raise error
        if lacks_memory(error):
            raise error
        part = _raised_in(error, parts)
        said = f"{part} failed: {cause_of(error)}" if part else cause_of(error)
        raise TaskFailedError(f"{where}: {said}") from error

    engine.interrupt_resume_enabled = False
    engine.add_event_handler(Events.EXCEPTION_RAISED, come_out)


def _raised_in(error: BaseException, parts: Mapping[str, object]) -> str | None:
    """Return which part an error came out of; of one that calls another it is that one."""
    found = None
    for frame, _ in traceback.walk_tb(error.__traceback__):
        at_work = frame.f_locals.get("self")
        found = next((name for name, part in parts.items() if part is at_work), found)
    return found


def lacks_memory(error: BaseException) -> bool:
    """Return whether an error says that there is no more memory, which has its own words."""
    return "allocate" in str(error)


def keep_to_itself() -> None:
    """Keep engines from talking to the other processes of a trainer.

    Those share a network and the batches; one of them measures. Ignite's metrics would wait for
    the others, which do something else.

    Raises:
        AttributeError: This Ignite has no such switch.
    """
    _ = ignite.distributed.utils._need_to_sync  # noqa: SLF001 - there is no other switch
    ignite.distributed.utils._need_to_sync = False  # noqa: SLF001


def run(engine: Any, *arguments: Any) -> None:
    """Run an engine, the loggers of its handlers heard; its last batch does not stay in memory.

    Raises:
        TaskFailedError: Something failed in it.
    """
    _listen()
    try:
        engine.run(*arguments)
    finally:
        engine.state.batch = engine.state.output = None


def precision(*, wanted: bool, device: torch.device, where: str) -> bool:
    """Return whether to compute in mixed precision: only CUDA does; a note says so elsewhere.

    Args:
        wanted: By the configuration.
        device: Where is computed.
        where: What asks for it.
    """
    if wanted and device.type != "cuda":
        _log.warning("%s: amp is off, it needs CUDA and this is a %s", where, device.type)
    return wanted and device.type == "cuda"


def _listen() -> None:
    """Let what handlers print come to this process's log, unless somebody listens already."""
    if not logging.getLogger().handlers:
        logging.basicConfig(format=_FORMAT)
    for name in _LOGGERS:
        if logging.getLogger(name).level == logging.NOTSET:
            logging.getLogger(name).setLevel(logging.INFO)
