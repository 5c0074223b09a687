# SPDX-License-Identifier: Apache-2.0
"""What a checked MMAR says."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from mmar_runner.federation.cross_site import CrossSitePlan
from mmar_runner.mmar.spec import Generation


def test_the_specification_has_everything_that_is_declared(mmar):
    mmar.task.update(
        max_num_clients=5, wait_after_min_clients=1, heart_beat_timeout=30, start_round=1
    )
    mmar.server |= {
        "clients_per_round": 3,
        "round_deadline": 60,
        "max_wait": 3600,
        "max_num_samples": {"site-1": 500},
        "validate_every": 2,
        "model_validator": {"name": "Judge"},
        "exclude_vars": "head",
        "ckpt_preload_path": "models/start.safetensors",
        "strict": True,
    }
    mmar.client["servers"][0]["service"] = {"target": "fl.example.org:8002"}
    mmar.write("models/start.safetensors", b"x")
    mmar.write("config/config_validation.json", '{"metrics": ["{DATA_ROOT}"]}')

    spec = mmar.check().spec
    server, client = spec.server, spec.client

    assert (spec.name, spec.root, spec.generation) == ("job", mmar.root, Generation.CLARA_4)
    assert (spec.seed, spec.target, spec.byoc) == (7, "fl.example.org:8002", False)
    assert spec.validation_config == {"metrics": ["/data"]}
    assert spec.variables["DATA_ROOT"] == "/data"
    assert (server.min_num_clients, server.max_num_clients) == (2, 5)
    assert (server.wait_after_min_clients, server.heart_beat_timeout) == (1.0, 30.0)
    assert (server.start_round, server.num_rounds, server.clients_per_round) == (1, 3, 3)
    assert (server.round_deadline, server.max_wait, server.validate_every) == (60.0, 3600.0, 2)
    assert server.max_num_samples == {"site-1": 500}
    assert (server.exclude_vars, server.checkpoint) == ("head", "models/start.safetensors")
    assert server.model_validator.name == "Judge"
    assert server.aggregator.pointer == "/aggregator"
    assert server.model_persistor.pointer == "/model_persistor"
    assert [part.pointer for part in server.handlers] == ["/handlers/0"]
    assert [part.pointer for part in server.result_processors] == ["/result_processors/0"]
    assert [part.pointer for part in client.outbound_filters] == ["/client/outbound_filters/0"]
    assert client.task_name == "task"
    assert client.client_trainer.args == {"local_epochs": 1}


def test_absent_keys_have_their_defaults(mmar):
    mmar.server["servers"] = [{"name": "task", "num_rounds": -1}]

    server = mmar.check().spec.server

    assert (server.min_num_clients, server.max_num_clients, server.start_round) == (2, 100, 0)
    assert (server.wait_after_min_clients, server.heart_beat_timeout) == (10.0, 600.0)
    assert server.num_rounds == -1
    assert (server.clients_per_round, server.round_deadline, server.validate_every) == (None,) * 3
    assert (server.workflow, server.exclude_vars, server.checkpoint) == (None,) * 3
    assert (server.max_num_samples, server.max_wait) == (None, None)


def test_cross_site_validation_is_said_by_both_sides(mmar):
    assert mmar.check().spec.server.cross_site == CrossSitePlan()
    limits = {"_why": "a comment", "enabled": False, "deadline_seconds": 60, "absent_seconds": 0}
    mmar.server["cross_site_validation"] = limits
    mmar.client["cross_validate"] = True
    mmar.client["cross_site_validation"] = {
        "is_participating": True,
        "model_validator": {"name": "Judge"},
        "outbound_filters": [{"name": "Scale", "args": {"factor": 1}}],
    }

    spec = mmar.check().spec

    assert spec.server.cross_site == CrossSitePlan(False, 600.0, 60, 0)
    assert spec.client.cross_validate
    assert spec.client.model_validator.name == "Judge"
    assert spec.client.cross_site_inbound == ()
    (outbound,) = spec.client.cross_site_outbound
    assert outbound.pointer == "/cross_site_validation/outbound_filters/0"


def test_dummy_excludes_nothing(mmar):
    mmar.server["exclude_vars"] = "dummy"

    assert mmar.check().spec.server.exclude_vars is None


def test_a_client_without_servers_takes_the_servers_task(mmar):
    del mmar.client["servers"]

    assert mmar.check().spec.client.task_name == "task"


def test_each_side_sees_only_itself(mmar):
    mmar.client["client_trainer"]["name"] = "NotHere"

    server = mmar.check(side="server")
    client = mmar.check(side="client")

    assert server.report.valid
    assert server.spec.server is not None
    assert server.spec.client is None
    assert not client.report.valid
    assert client.spec.client is None
    assert client.spec.server is None


def test_a_specification_does_not_change(mmar):
    spec = mmar.check().spec

    with pytest.raises(FrozenInstanceError):
        spec.seed = 1


def test_the_effective_digest_knows_settings_and_plugins(mmar):
    spec = mmar.check().spec
    digests = {
        spec.effective_digest({}, {}),
        spec.effective_digest({"A": 1}, {}),
        spec.effective_digest({"A": "1"}, {}),
        spec.effective_digest({}, {"a": "1.0"}),
        spec.effective_digest({}, {"a": "1.1"}),
    }

    assert len(digests) == 5
    first = spec.effective_digest({"A": 1, "B": 2}, {})
    assert first == spec.effective_digest({"B": 2, "A": 1}, {})


@pytest.mark.parametrize(
    ("client", "uses", "settings", "guesses"),
    [
        ("north", True, {}, True),
        ("site-2_3", True, {}, True),
        ("site-2", True, {}, False),
        ("north", True, {"SITE_INDEX": 2}, False),
        ("north", False, {}, False),
    ],
)
def test_a_share_of_the_data_that_only_a_default_gives_is_known(
    mmar, client, uses, settings, guesses
):
    if uses:
        mmar.write("config/config_validation.json", '{"metrics": ["{SITE_INDEX}"]}')
    spec = mmar.check(settings=settings).spec_for(client)
    assert spec.guesses_index is guesses
