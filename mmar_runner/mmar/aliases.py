# SPDX-License-Identifier: Apache-2.0
"""Older keys, slots and component names, and what became of them."""

from __future__ import annotations

from types import MappingProxyType

#: Keys of older archives that this program does not need, with the reason.
IDLE_KEYS = MappingProxyType(
    {
        "num_server_workers": "the server needs no thread pool for clients",
        "compression": "the codec is negotiated between the peers",
        "admin_host": "administration is set up by the start-up kit",
        "admin_port": "administration is set up by the start-up kit",
        "admin_storage": "administration is set up by the start-up kit",
        "retry_timeout": "sessions reconnect by themselves",
        "platform": "the trainer knows its framework",
        "shareable_generator": "models travel as files and need no conversion",
        "admin_cmd_modules": "administration does not take part in a run",
        "req_processors": "sessions answer these requests themselves",
        "model_reader_writer": "the trainer reads and writes models itself",
        "server_trainer": "only clients train",
    }
)

#: Keys that name key material; it comes from the start-up kit alone.
CERTIFICATE_KEYS = ("ssl_private_key", "ssl_cert", "ssl_root_cert")

#: Older client filters that only attached numbers, which every update now carries.
IDLE_FILTERS = MappingProxyType(
    {
        "IteratorNumberGenerator": "every update carries its number of samples",
        "BestMetricGenerator": "every update carries its validation metrics",
    }
)

#: ``exclude_vars`` values that exclude nothing: the archives' habit of saying so.
EXCLUDES_NOTHING = frozenset({"", "dummy"})

#: The trainer that older client files use without naming it.
IMPLIED_TRAINER = "ClientTrainer"

#: Known older names, and what to do where no plugin offers them.
OLDER_NAMES = MappingProxyType(
    {
        "ModelAggregator": "use FedAvg (mmar-runner-fedavg)",
        "AccumulateWeightedAggregator": "use FedAvg (mmar-runner-fedavg)",
        "InTimeAccumulateWeightedAggregator": "use FedAvg (mmar-runner-fedavg)",
        "PercentileProtocol": "use PercentilePrivacy (mmar-runner-privacy)",
        "SVTProtocol": "use SVTPrivacy (mmar-runner-privacy)",
        "LaplacianProtocol": "use LaplacianPrivacy (mmar-runner-privacy)",
        "HEInTimeAccumulateWeightedAggregator": "homomorphic encryption is not available",
        "HEModelEncryptor": "homomorphic encryption is not available",
        "HEModelDecryptor": "homomorphic encryption is not available",
        "HEPTFileModelPersistor": "homomorphic encryption is not available",
        "ModelEncryptor": "transport is protected by TLS; leave the pair out",
        "ModelDecryptor": "transport is protected by TLS; leave the pair out",
        "DataCompressor": "leave the pair out",
        "DataDeCompressor": "leave the pair out",
        "TFModelSaver": "use the model_persistor of an installed trainer",
        "PTFileModelPersistor": "use the model_persistor of an installed trainer",
        "TFModelValidator": "use the model_validator of an installed trainer",
        "IntimeModelSelectionHandler": "use BestModelSelector (mmar-runner-metrics)",
        "IntimeModelSelector": "use BestModelSelector (mmar-runner-metrics)",
        "ValidateResultProcessor": "cross-site validation needs a plugin that offers it",
        "TrainingCommandModule": "a server that waits for administrators has its commands",
        "ValidationCommandModule": "a server that waits for administrators has its commands",
        "ShellCommandModule": "a server that waits for administrators has its commands",
        "SystemCommandModule": "a server that waits for administrators has its commands",
        "ClientTrainer": "use the client_trainer of an installed plugin",
    }
)

#: Filters that undo each other: what one side applies, the other must undo.
FILTER_PAIRS = MappingProxyType(
    {
        "ModelEncryptor": "ModelDecryptor",
        "DataCompressor": "DataDeCompressor",
        "HEModelEncryptor": "HEModelDecryptor",
    }
)
