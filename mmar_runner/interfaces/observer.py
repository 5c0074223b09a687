# SPDX-License-Identifier: Apache-2.0
"""How a server or a session tells whoever watches what is going on.

The runtime never prints and never formats: it hands observations to an `Observer`,
and the command line decides whether they become a live table, lines or JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol


class Topic(StrEnum):
    """What an observation is about; its ``data`` keys follow the dash."""

    LISTENING = "listening"  # listen, workspace, run_number, resumed, before, ended
    STANDING = "standing"  # listen, admin, workspace, pid; of a server that waits to be told
    CLIENT_JOINED = "client_joined"  # client, active
    CLIENT_BACK = "client_back"  # client, active; registered again before its lease had ended
    CLIENT_LEFT = "client_left"  # client, reason, active
    CLIENT_REMOVED = "client_removed"  # client, reason, round (None if it had no part), message
    MIN_CLIENTS = "min_clients"  # number, before, round; an administrator changed it
    TASK_GIVEN_AGAIN = "task_given_again"  # client, round; by an administrator
    ASSIGNED = "assigned"  # client, combiner, before (empty at first); at a client also target
    TURN_PASSED = "turn_passed"  # client, before, round; a lost client's turn went to another
    CLIENT_STATE = "client_state"  # client, state (idle, training, validating); step, steps if told
    ROUND_STARTED = "round_started"  # round, num_rounds, participants
    MODEL_SENT = "model_sent"  # client, round (-1 for none), bytes; also if it broke off there
    CLIENT_PROGRESS = "client_progress"  # client, done, total, unit (bytes)
    UPDATE_ACCEPTED = "update_accepted"  # client, round, bytes, num_samples, seconds_train, metrics
    UPDATE_REFUSED = "update_refused"  # client, round, reason, message, again
    ROUND_FINISHED = "round_finished"  # round, num_rounds, seconds, metrics, model_sha256, clients
    OUTLIER = "outlier"  # client, round, times, cosine, message; an accepted update is odd
    WAITING = "waiting"  # message, since_seconds
    MODEL_LOST = "model_lost"  # round, file, reason, expected, found, kept, message
    # the server says whose; at a client these are its own, and CROSS_SITE_STARTED says nothing
    CROSS_SITE_STARTED = "cross_site_started"  # participants, models: whose are there already
    CROSS_SITE_MODEL = "cross_site_model"  # client, bytes, reason (why there is none, or empty)
    CROSS_SITE_RESULT = "cross_site_result"  # client, owner, metrics, reason (likewise)
    BEST_MODEL = "best_model"  # round, score, scored_in
    COMPONENT_FAILED = "component_failed"  # component, event, round, message, hint
    SITE_DECLINED = "site_declined"  # client, reason, message
    LEFT_OUT = "left_out"  # clients: client, rounds, of, reason of each
    RUN_ENDED = "run_ended"  # status, reason, run_folder, wall_seconds; best_round or tasks
    # of a session
    CONNECTING = "connecting"  # target
    UNREACHABLE = "unreachable"  # target, since_seconds, message, hint
    ANSWERS = "answers"  # target, after_seconds: that was told to be unreachable
    PACKAGE_RECEIVED = "package_received"  # mmar, bytes, seconds, resumed_at
    REGISTERED = "registered"  # client, run_number, num_rounds
    MODEL_RECEIVED = "model_received"  # round, bytes, seconds
    TRAINING = "training"  # round
    TRAINED = "trained"  # round, seconds, num_samples, metrics
    # round, reason, message, again; at the server also client, and log if the site let lines go;
    # at a site, and in a simulation, hint and told: the message as it may leave the site
    TASK_FAILED = "task_failed"
    SUBMITTED = "submitted"  # round, bytes, seconds, duplicate
    REFUSED = "refused"  # round, reason, message, again ("", "same" or "another" cause)


@dataclass(frozen=True, slots=True)
class Observation:
    """One thing that happened.

    Attributes:
        topic: What it is about.
        data: Facts, JSON-serialisable; see `Topic`.
    """

    topic: Topic
    data: Mapping[str, Any] = field(default_factory=dict)


class Observer(Protocol):
    """Anything that wants to see observations."""

    def observe(self, observation: Observation) -> None:
        """See one observation; must return quickly and must not raise."""
        ...


class NullObserver:
    """Sees everything and says nothing."""

    def observe(self, observation: Observation) -> None:
        """Do nothing."""
