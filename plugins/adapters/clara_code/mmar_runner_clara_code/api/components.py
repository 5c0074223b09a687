# SPDX-License-Identifier: Apache-2.0
"""The base classes of older components: they log, hear of events, and ask for their methods."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmar_runner_clara_code.api.context import FLContext
    from mmar_runner_clara_code.api.shareable import Shareable
    from mmar_runner_clara_code.api.signal import Signal


class FLComponent:
    """Base class of all of them.

    Attributes:
        logger: Named after the class.
    """

    def __init__(self) -> None:
        self._name = type(self).__name__
        self.logger = logging.getLogger(self._name)

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """Hear of an event; nothing is done here."""

    def fire_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """Tell of an event: this component alone hears of it."""
        self.handle_event(event_type, fl_ctx)

    def log_debug(self, fl_ctx: FLContext, msg: str, fire_event: Any = None) -> None:
        """Log a line."""
        del fl_ctx, fire_event
        self._log(logging.DEBUG, msg)

    def log_info(self, fl_ctx: FLContext, msg: str, fire_event: Any = None) -> None:
        """Log a line."""
        del fl_ctx, fire_event
        self._log(logging.INFO, msg)

    def log_warning(self, fl_ctx: FLContext, msg: str, fire_event: Any = None) -> None:
        """Log a line."""
        del fl_ctx, fire_event
        self._log(logging.WARNING, msg)

    def log_error(self, fl_ctx: FLContext, msg: str, fire_event: Any = None) -> None:
        """Log a line."""
        del fl_ctx, fire_event
        self._log(logging.ERROR, msg)

    def log_exception(self, fl_ctx: FLContext, msg: str, fire_event: Any = None) -> None:
        """Log a line, with the exception that is being handled."""
        del fl_ctx, fire_event
        logging.getLogger(type(self).__name__).error("%s", msg, exc_info=sys.exc_info())

    def system_panic(self, reason: str, fl_ctx: FLContext) -> None:
        """End the work: it has failed.

        Raises:
            RuntimeError: Always.
        """
        del fl_ctx
        raise RuntimeError(reason)

    def _log(self, level: int, msg: str) -> None:
        # Not `self.logger`: many a class does not call this constructor.
        logging.getLogger(type(self).__name__).log(level, "%s", msg)


class Aggregator(FLComponent):
    """Makes one shareable of those of a round."""

    def accept(self, shareable: Shareable, fl_ctx: FLContext) -> Any:
        """Take one; return whether it counts, alone or as the first of a pair."""
        raise NotImplementedError

    def aggregate(self, fl_ctx: FLContext) -> Shareable:
        """Return what was made of those that were taken."""
        raise NotImplementedError

    def reset(self, fl_ctx: FLContext) -> None:
        """Forget what was taken."""


class Filter(FLComponent):
    """Changes a shareable on its way."""

    def process(self, shareable: Shareable, fl_ctx: FLContext) -> Shareable:
        """Return what goes on."""
        raise NotImplementedError


class Trainer(FLComponent):
    """Trains on a site's own data."""

    def train(self, shareable: Shareable, fl_ctx: FLContext, abort_signal: Signal) -> Shareable:
        """Train the model that came, and return what goes to the server."""
        raise NotImplementedError
