# SPDX-License-Identifier: Apache-2.0
"""What filters are given to protect a site with: a secret, a state and a ledger."""

from __future__ import annotations

import asyncio
import json
import stat
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load, save

from mmar_runner.client.files.workspace import ClientWorkspace
from mmar_runner.client.session import run_session
from mmar_runner.client.tasks.filter_contexts import FilterContexts
from mmar_runner.errors import StorageError
from mmar_runner.interfaces.aggregator import UpdateKind
from mmar_runner.interfaces.catalog import ComponentKind
from mmar_runner.interfaces.client_trainer import TrainResult
from mmar_runner.mmar.spec import ComponentSpec
from mmar_runner.security.policy.site_policy import SitePolicy
from mmar_runner.wire.messages import RegisterReply

KEEPING = Path(__file__).parents[1] / "children" / "plugins"
MODEL = {"w": np.zeros(64, np.float32)}
#: One release spends 1.99, two 2.94, three 3.71.
LOCAL_DP = {
    "name": "LocalDP",
    "args": {"max_norm": 1.0, "noise_multiplier": 4.0, "epsilon": 3.2, "delta": 1e-5},
}


@pytest.fixture
def told(settings):
    """Return what the filters of one direction are told."""

    def context(chain="outbound_filters", *, number=0, run_id="one", key=None, seed=5):
        files = ClientWorkspace(settings.workspace).run(1, run_id)
        reply = RegisterReply(
            token="t", run_number=1, seed=seed, num_rounds=2, lease_seconds=1.0, run_id=run_id
        )
        made = FilterContexts(replace(settings, filter_key=key), files, reply)
        return made.of(chain, number, UpdateKind.WEIGHTS, 3.0)

    return context


def test_no_two_directions_rounds_runs_or_sites_share_a_secret(told, settings):
    first = told().secret
    assert len(first) == 32
    assert told().secret == first
    others = [told("site_outbound_filters"), told(number=1), told(run_id="two")]
    (settings.workspace / "filter.key").unlink()
    secrets = {first, *(one.secret for one in others), told().secret}
    assert len(secrets) == 5


def test_the_secret_does_not_come_from_what_the_server_knows(told, settings):
    before = told(seed=5).secret
    assert told(seed=6).secret == before
    mode = (settings.workspace / "filter.key").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600
    assert before.hex() not in repr(told())


def test_a_key_that_others_can_read_is_refused(told, settings):
    told()
    (settings.workspace / "filter.key").chmod(0o644)
    with pytest.raises(StorageError, match=r"filter\.key can be read by others"):
        told()


def test_a_simulations_secret_is_the_same_again_in_whatever_run(told, settings):
    first = told(key=b"k" * 32)
    assert told(key=b"k" * 32, run_id="two").secret == first.secret
    assert not (settings.workspace / "filter.key").exists()


def test_the_ledger_of_the_sites_own_filters_outlives_a_run(told, settings):
    run = settings.workspace / "run_1"
    assert told().ledger == run / "ledger" / "outbound_filters"
    assert (
        told("site_outbound_filters").ledger
        == settings.workspace / "ledger" / "site_outbound_filters"
    )


class Trainers:
    """Trainers whose update is far from the model; the same again, or never the same."""

    def __init__(self, *, stable=True):
        self.waited = 0.0
        self.stable = stable
        self.count = 0

    def trainer(self, spec, *, log, timeout):
        return self

    def prepare(self):
        pass

    async def train(self, task):
        self.count += 1
        far = 1000 + task.round + (0 if self.stable else self.count)
        task.update.write_bytes(save({"w": MODEL["w"] + far}))
        return TrainResult(1)

    async def close(self):
        pass


@pytest.fixture
def run(server, serving, settings, plugins, recorder):
    """Work for a run with LocalDP demanded by the site."""

    async def once(rounds, *, trainers=None, run_number=1):
        server.models = [(number, save(MODEL)) for number in range(rounds)]
        server.run_number = run_number
        server.answered, server.failures = set(), []
        server.updates = {}
        changed = settings.under(SitePolicy(mandatory_filters={"outbound": (LOCAL_DP,)}))
        async with serving():
            await run_session(
                changed, plugins, recorder, asyncio.Event(), children=trainers or Trainers()
            )
        return {number: load(update)["w"] for number, update in server.updates.items()}

    return once


async def test_releases_are_counted_until_the_budget_is_spent_and_then_nothing_leaves(
    server, run, settings, recorder
):
    updates = await run(3)
    assert sorted(updates) == [0, 1]
    # Clipped from a norm of 8000 to 1, with noise of 4 on every number.
    assert all(np.abs(update).max() < 40 for update in updates.values())
    (failure,) = server.failures
    assert (failure.round, failure.reason) == (2, "PRIVACY_BUDGET")
    spent = [begin.metrics["dp_epsilon"] for begin in server.begins]
    assert spent == sorted(spent)
    assert 0 < spent[0] < spent[1] <= 3.2
    ledger = settings.workspace / "ledger" / "site_outbound_filters" / "LocalDP" / "privacy.json"
    assert [one["round"] for one in json.loads(ledger.read_text())["releases"].values()] == [0, 1]


async def test_another_run_begins_with_what_is_spent(server, run):
    await run(1)
    assert sorted(await run(2, run_number=2)) == [0]
    assert server.failures[0].reason == "PRIVACY_BUDGET"


async def test_a_round_done_again_with_the_same_bytes_is_the_same_release(server, run):
    first = await run(1)
    again = await run(1)
    assert first[0].tobytes() == again[0].tobytes()
    assert server.begins[0].metrics == server.begins[1].metrics


async def test_a_round_done_again_otherwise_draws_other_noise_and_counts(server, run):
    trainers = Trainers(stable=False)
    first = await run(1, trainers=trainers)
    again = await run(1, trainers=trainers)
    # With the same noise the difference would be that of the updates, which is clipped to 0.
    assert np.abs(first[0] - again[0]).max() > 1
    assert server.begins[0].metrics["dp_epsilon"] < server.begins[1].metrics["dp_epsilon"]


async def test_nothing_leaves_if_what_was_spent_is_not_known(server, run, settings):
    await run(1)
    ledger = settings.workspace / "ledger" / "site_outbound_filters" / "LocalDP" / "privacy.json"
    ledger.write_text("{}")
    assert await run(1, run_number=2) == {}
    assert server.failures[0].reason == "STORAGE"


async def test_what_a_filter_keeps_becomes_current_with_the_receipt_and_its_ledger_at_once(
    server, serving, settings, plugins, recorder
):
    keeping = ComponentSpec(
        kind=ComponentKind.FILTER,
        declaration={"name": "Keeping", "args": {}},
        name="Keeping",
        args={},
        file="config/config_fed_client.json",
        pointer="/outbound_filters/0",
    )
    client = replace(settings.spec.client, outbound_filters=(keeping,))
    spec = replace(settings.spec, client=client)
    changed = replace(settings, spec=spec, plugins_dir=KEEPING)
    server.models = [(number, save(MODEL)) for number in range(3)]
    server.refuse_upload = "NON_FINITE"  # that of round 0
    async with serving():
        await run_session(changed, plugins, recorder, asyncio.Event(), children=Trainers())
    said = [begin.metrics for begin in server.begins]
    assert [(one["kept"], one["spent"], one["samples"]) for one in said] == [
        (0, 1, 1),
        (0, 2, 1),
        (1, 3, 1),
    ]
