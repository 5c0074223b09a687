# SPDX-License-Identifier: Apache-2.0
"""The configuration files of an MMAR that is made of a bundle, as values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mmar_runner.errors import FormatError
from mmar_runner.mmar.bundle.merged import followed, has
from mmar_runner.mmar.bundle.plan import BUNDLE
from mmar_runner.mmar.bundle.texts import EXPRESSION, MACRO, REFERENCE

if TYPE_CHECKING:
    from mmar_runner.mmar.bundle.plan import Plan

_ROUNDS: Final = 10
_DATA: Final = "dataset_dir"
_ROOT: Final = "bundle_root"
_EPOCHS: Final = "train::trainer::max_epochs"
_METRIC: Final = "validate::evaluator::key_val_metric"


def declared(plan: Plan, name: str) -> dict[str, dict[str, Any]]:
    """Return the MMAR's configuration files by path.

    Args:
        plan: What was found in the bundle; what is to be decided is added to it.
        name: The name of the task.
    """
    return {
        "config/config_fed_server.json": _server(plan, name),
        "config/config_fed_client.json": _client(plan, name),
        "config/environment.json": _environment(plan),
    }


def _server(plan: Plan, name: str) -> dict[str, Any]:
    task = {
        "name": name,
        "min_num_clients": "{MIN_NUM_CLIENTS}",
        "max_num_clients": "{MAX_NUM_CLIENTS}",
        "start_round": 0,
        "num_rounds": "{NUM_ROUNDS}",
    }
    server: dict[str, Any] = {
        "format_version": 1,
        "servers": [task],
        "aggregator": {"name": "FedAvg"},
        "inbound_filters": [],
        "outbound_filters": [],
        "handlers": [],
        "result_processors": [{"name": "MetricsProcessor"}],
    }
    if plan.network.declaration is not None:
        args = {"model": plan.network.declaration}
        server["model_persistor"] = {"name": "PTFileModelPersistor", "args": args}
    if plan.checkpoint is not None:
        server["ckpt_preload_path"] = plan.checkpoint
        if not plan.checkpoint.endswith(".safetensors"):
            server["model_persistor"] = {"name": "PTCheckpointPersistor"}
    metric = _key_metric(plan)
    if metric is not None:
        best = {"name": "BestModelSelector", "args": {"metric": metric}}
        server["handlers"] = [best]
    return server


def _client(plan: Plan, name: str) -> dict[str, Any]:
    overrides = _overrides(plan)
    algo: dict[str, Any] = {
        "bundle_root": BUNDLE,
        "local_epochs": "{LOCAL_EPOCHS}",
        "config_train_filename": plan.train,
        "config_evaluate_filename": plan.evaluate or None,
        "train_kwargs": overrides,
    }
    if plan.evaluate:
        shared = {key: value for key, value in overrides.items() if key != _EPOCHS}
        algo["eval_kwargs"] = shared
    args = {"algo": {"name": "MonaiAlgo", "args": algo}, "evaluate": bool(plan.evaluate)}
    return {
        "format_version": 1,
        "servers": [{"name": name}],
        "client": {"inbound_filters": [], "outbound_filters": []},
        "client_trainer": {"name": "ClientAlgoTrainer", "args": args},
        "handlers": [],
    }


def _environment(plan: Plan) -> dict[str, Any]:
    values: dict[str, Any] = {
        "NUM_ROUNDS": _ROUNDS,
        "MIN_NUM_CLIENTS": 2,
        "MAX_NUM_CLIENTS": 100,
        "LOCAL_EPOCHS": 1,
    }
    plan.decide.append(f"How long it trains: NUM_ROUNDS ({_ROUNDS} here) and LOCAL_EPOCHS (1).")
    if has(plan.config, _DATA):
        values["DATA_ROOT"] = _data_root(plan)
        plan.decide.append(
            f"Where a site's data lie: every site sets DATA_ROOT (here {values['DATA_ROOT']!a}), "
            f"which replaces {_DATA} of the bundle."
        )
    return values


def _overrides(plan: Plan) -> dict[str, Any]:
    """Return what must be replaced, or added, so that MONAI takes the configuration."""
    found: dict[str, Any] = {}
    if has(plan.config, _DATA):
        found[_DATA] = "{DATA_ROOT}"
        below = f"{_data_root(plan).rstrip('/')}/"
        for key, value in plan.config.items():
            if isinstance(value, str) and value.startswith(below) and "{" not in value:
                found[key] = f"{{DATA_ROOT}}/{value.removeprefix(below)}"
    if not has(plan.config, _ROOT):
        found[_ROOT] = "."
    if not has(plan.config, _EPOCHS):
        found[_EPOCHS] = 1
    return found


def _data_root(plan: Plan) -> str:
    written = plan.config.get(_DATA)
    marked = not isinstance(written, str) or written.startswith((EXPRESSION, REFERENCE, MACRO))
    return "/data" if marked or not written else str(written)


def _key_metric(plan: Plan) -> str | None:
    """Return the metric by which the bundle chooses its best model, if it says so as data.

    Where it says so in another way, that is to be decided.
    """
    way, _, key = _METRIC.rpartition("::")
    evaluator = _followed(plan, way) if plan.evaluate else None
    if not isinstance(evaluator, dict) or key not in evaluator:
        return None
    stated = _followed(plan, _METRIC)
    names: list[str] = list(stated) if isinstance(stated, dict) else []
    if len(names) == 1 and not names[0].startswith(("_", EXPRESSION, REFERENCE, MACRO)):
        return names[0]
    plan.decide.append(
        f"Which metric chooses the best model: the bundle's {_METRIC} does not name one as data. "
        "Name it in config_fed_server.json, as 'metric' of a BestModelSelector in 'handlers'."
    )
    return None


def _followed(plan: Plan, text: str) -> Any:
    """Return what an id leads to, references followed; None if that is not known."""
    try:
        return followed(plan.config, text)
    except FormatError:
        return None
