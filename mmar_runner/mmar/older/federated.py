# SPDX-License-Identifier: Apache-2.0
"""Every component that federated configurations of older archives declare."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from mmar_runner.mmar.older.entry import Older, older_name

_BOTH: Final = "3.1, 4"
_HE: Final = "homomorphic encryption"
_SECAGG: Final = (
    "secure aggregation hides updates from the server too: declare the aggregator SecureSum and"
    " the client filter SecAggFilter (mmar-runner-secagg)"
)
_TLS: Final = "TLS protects the transport"
_COMPRESSION: Final = "the transport negotiates compression ('compression' of the server file)"
_READER: Final = "the trainer reads and writes models itself"
_ADMIN: Final = "administration is a part of every server that waits for administrators"
_REQUEST: Final = "sessions answer this request of administrators themselves"
_ROUND_ROBIN: Final = "declare the workflow RoundRobin in the server file"
_STEPS: Final = (
    "'steps' is the number that differences are divided by before and multiplied by after; the"
    " older one took the steps of the round"
)
_DP: Final = (
    "differential privacy is an argument of the trainer here: 'dp' of a PyTorch trainer, or the"
    " filter LocalDP"
)

_AGGREGATORS: Final = (
    Older("ModelAggregator", "aggregator", "3.1", became="FedAvg"),
    Older("AccumulateWeightedAggregator", "aggregator", "4", became="FedAvg"),
    Older("InTimeAccumulateWeightedAggregator", "aggregator", "4", became="FedAvg"),
    Older("HEInTimeAccumulateWeightedAggregator", "aggregator", "4", instead=_SECAGG, cause=_HE),
)

_MODELS: Final = (
    Older(
        *("TFModelSaver", "model_persistor", "3.1", "PTFileModelPersistor"),
        differs="it writes PyTorch's .pt, and its argument 'model' must declare the network",
    ),
    Older(
        *("PTModelSaver", "model_persistor", "3.1", "PTFileModelPersistor"),
        differs="its argument 'model' must declare the network",
    ),
    Older(
        *("PTFileModelPersistor", "model_persistor", "4", "PTFileModelPersistor"),
        differs="checkpoints of a run are safetensors; final_model.pt is written at its end",
    ),
    Older("HEPTFileModelPersistor", "model_persistor", "4", instead=_SECAGG, cause=_HE),
    Older(
        *("FullModelShareableGenerator", "shareable generator", "4"),
        needs_nothing="models travel as files and need no conversion",
    ),
    Older("HEModelShareableGenerator", "shareable generator", "4", instead=_SECAGG, cause=_HE),
    Older("TFModelReaderWriter", "model reader", "3.1", needs_nothing=_READER),
    Older("PTModelReaderWriter", "model reader", _BOTH, needs_nothing=_READER),
    Older("DictModelReaderWriter", "model reader", _BOTH, needs_nothing=_READER),
    Older("HEPTModelReaderWriter", "model reader", "4", instead=_SECAGG, cause=_HE),
)

_HANDLERS: Final = (
    Older("IntimeModelSelectionHandler", "handler", "4", "BestModelSelector"),
    Older("IntimeModelSelector", "handler", "4", "BestModelSelector"),
)

_FILTERS: Final = (
    Older("PercentileProtocol", "filter", "3.1", "PercentilePrivacy", differs=_STEPS),
    Older("PercentilePrivacy", "filter", "4", "PercentilePrivacy", differs=_STEPS),
    Older(
        *("SVTProtocol", "filter", "3.1", "SVTPrivacy"),
        differs="values are drawn without replacement, and what is not drawn leaves as 0",
    ),
    Older(
        *("SVTPrivacy", "filter", "4", "SVTPrivacy"),
        differs="values are drawn without replacement, and what is not drawn leaves as 0",
    ),
    Older(
        *("LaplacianProtocol", "filter", "3.1", "LaplacianPrivacy"),
        differs="'fraction' is read as a percentage; the older one's mathematics is not published",
    ),
    Older(
        *("ExcludeVars", "filter", "4", "ExcludeVars"),
        differs="a name or expression that is found nowhere fails the task",
    ),
    Older("ModelEncryptor", "filter", "3.1", needs_nothing=_TLS),
    Older("ModelDecryptor", "filter", "3.1", needs_nothing=_TLS),
    Older("DataCompressor", "filter", "3.1", needs_nothing=_COMPRESSION),
    Older("DataDeCompressor", "filter", "3.1", needs_nothing=_COMPRESSION),
    Older(
        *("IteratorNumberGenerator", "filter", "3.1"),
        needs_nothing="every update carries its number of samples",
    ),
    Older(
        *("BestMetricGenerator", "filter", "3.1"),
        needs_nothing="every update carries its validation metrics",
    ),
    *(
        Older(name, "filter", "4", instead=_SECAGG, cause=_HE)
        for name in ("HEModelEncryptor", "HEModelDecryptor", "HEEvalDecryptor")
    ),
)

_TRAINERS: Final = (
    Older(
        *("ClientTrainer", "client_trainer", _BOTH, "MonaiTrainer"),
        differs="it runs workflows of MONAI, such as those of 4.x; none of TensorFlow",
    ),
    Older("FederatedLearner", "client_trainer", "4", "MonaiTrainer"),
    Older("ClientValidator", "model_validator", "4", "MonaiModelValidator"),
    Older(
        *("TFModelValidator", "model_validator", "3.1", "MonaiModelValidator"),
        differs="it runs workflows of MONAI, such as those of 4.x; none of TensorFlow",
    ),
    *(
        Older(name, "optimizer", "3.1", instead=_DP)
        for name in (
            "DPOptimizer",
            "DPGradientDescentGaussianOptimizer",
            "DPAdamGaussianOptimizer",
            "DPAdagradGaussianOptimizer",
        )
    ),
)

_SERVERS: Final = (
    Older("FederatedServer", "server", _BOTH, needs_nothing="`run-server` is the server"),
    Older("RoundRobinFederatedServer", "server", "3.1", "RoundRobin", differs=_ROUND_ROBIN),
    *(
        Older(name, "client helper", "3.1", instead=_ROUND_ROBIN)
        for name in ("rr_client_field_processor", "rr_client_state_processor")
    ),
    *(
        Older(f"{name}CommandModule", "command module", _BOTH, needs_nothing=_ADMIN)
        for name in ("Training", "Validation", "Shell", "System")
    ),
    Older("ValidateResultProcessor", "result_processor", _BOTH, "ValidateResultProcessor"),
    *(
        Older(f"{name}Processor", "request processor", _BOTH, needs_nothing=_REQUEST)
        for name in (
            *("StartClient", "StartClientMGpu", "ClientStatus", "AbortClient", "ShutdownClient"),
            *("Deploy", "ValidateRequest", "ShellCommand", "DeleteRunNumber", "SysInfo"),
            "RestartClient",
        )
    ),
)

#: Every name of them, in the order of the compatibility page.
FEDERATED: Final[Mapping[str, Older]] = MappingProxyType(
    {
        one.name: one
        for group in (_AGGREGATORS, _MODELS, _HANDLERS, _FILTERS, _TRAINERS, _SERVERS)
        for one in group
    }
)


def unavailable(declaration: object) -> Older | None:
    """Return what an older component that is not to be had was, if a declaration is of one."""
    found = FEDERATED.get(older_name(declaration) or "")
    return found if found is not None and found.instead else None
