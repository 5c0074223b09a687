# SPDX-License-Identifier: Apache-2.0
"""What observers hear of a run, and the picture they make of it."""

from mmar_runner.interfaces.observer import Observation, Topic

SERVER = [
    Observation(
        Topic.LISTENING,
        {"listen": "127.0.0.1:8002", "workspace": "/w", "run_number": 1, "resumed": False},
    ),
    Observation(Topic.WAITING, {"message": "round 0: 1 of 2 clients"}),
    Observation(Topic.CLIENT_JOINED, {"client": "site-10", "active": 1}),
    Observation(Topic.CLIENT_JOINED, {"client": "site-2", "active": 2}),
    Observation(
        Topic.ROUND_STARTED,
        {"round": 0, "num_rounds": 4, "participants": ["site-10", "site-2"]},
    ),
    Observation(
        Topic.CLIENT_PROGRESS,
        {"client": "site-2", "done": 25 << 20, "total": 100 << 20, "unit": "bytes"},
    ),
    Observation(
        Topic.UPDATE_ACCEPTED,
        {
            "client": "site-10",
            "round": 0,
            "bytes": 100 << 20,
            "num_samples": 120,
            "seconds_train": 3.25,
        },
    ),
]
END = [
    Observation(
        Topic.UPDATE_REFUSED,
        {"client": "site-2", "round": 0, "reason": "NON_FINITE", "message": "NaN in 'w'"},
    ),
    Observation(
        Topic.ROUND_FINISHED,
        {
            "round": 0,
            "num_rounds": 4,
            "seconds": 4.5,
            "metrics": {"val_auc": 0.98765, "note": "x"},
            "model_sha256": "ab",
            "clients": ["site-10"],
        },
    ),
    Observation(Topic.BEST_MODEL, {"round": 0, "score": 0.98765}),
    Observation(
        Topic.SITE_DECLINED,
        {"client": "site-3", "reason": "BYOC_REFUSED", "message": "no code here"},
    ),
    Observation(Topic.CLIENT_LEFT, {"client": "site-2", "reason": "quit", "active": 1}),
    Observation(
        Topic.RUN_ENDED,
        {"status": "finished", "reason": "", "run_folder": "/w/run_1", "wall_seconds": 65},
    ),
]
SESSION = [
    Observation(Topic.CONNECTING, {"target": "127.0.0.1:8002"}),
    Observation(
        Topic.UNREACHABLE,
        {"target": "127.0.0.1:8002", "since_seconds": 12.0, "message": "connection refused"},
    ),
    Observation(Topic.REGISTERED, {"client": "site-1", "run_number": 2, "num_rounds": 10}),
    Observation(Topic.MODEL_RECEIVED, {"round": 3, "bytes": 2048, "seconds": 0.01}),
    Observation(Topic.TRAINING, {"round": 3}),
    Observation(
        Topic.TRAINED,
        {"round": 3, "seconds": 2.0, "num_samples": 50, "metrics": {"train_loss": 0.125}},
    ),
    Observation(Topic.SUBMITTED, {"round": 3, "bytes": 2048, "seconds": 0.02, "duplicate": True}),
    Observation(
        Topic.TASK_FAILED, {"round": 4, "reason": "CHILD_DIED", "message": "killed by SIGKILL"}
    ),
    Observation(Topic.REFUSED, {"round": 4, "reason": "ROUND", "message": "round 5 is open"}),
    Observation(Topic.PACKAGE_RECEIVED, {"mmar": "echo", "bytes": 4096, "seconds": 0.5}),
]
