# SPDX-License-Identifier: Apache-2.0
"""Older keys, and what became of them; the names of components stand in ``older``."""

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
        "multi_gpu": "'multi_gpu' of config_train.json, or --processes of a client, says it",
        "search": "hyperparameters are not searched for: they stay as they are declared",
        "enable_byoc": "each site's policy, or --allow-byoc, says whether code of an MMAR runs",
    }
)

#: Keys that name key material; it comes from the start-up kit alone.
CERTIFICATE_KEYS = ("ssl_private_key", "ssl_cert", "ssl_root_cert")

#: ``exclude_vars`` values that exclude nothing: the archives' habit of saying so.
EXCLUDES_NOTHING = frozenset({"", "dummy"})

#: The trainer that older client files use without naming it.
IMPLIED_TRAINER = "ClientTrainer"
