# SPDX-License-Identifier: Apache-2.0
"""What a simulation's numbers make of an MMAR."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mmar_runner.errors import UsageError
from mmar_runner.hooks import load_plugins
from mmar_runner.mmar.validation import validate
from mmar_runner.simulation.job import Job
from mmar_runner.simulation.settings import SimulationSettings, check_settings, simulated
from mmar_runner.storage.durability import Durability
from mmar_runner.testing.builders import MmarBuilder


def settings(**changes):
    values = {"mmar": Path("/mmar"), "workspace": Path("/work"), "clients": 4}
    return SimulationSettings(**{**values, **changes})


@pytest.fixture
def spec(tmp_path):
    root = MmarBuilder().server(start_round=2, num_rounds=9, max_num_clients=3).write(tmp_path)
    return validate(root, load_plugins().registry).spec


def test_all_clients_are_waited_for(spec):
    server = simulated(spec, settings()).server

    assert (server.min_num_clients, server.max_num_clients) == (4, 4)
    assert server.clients_per_round is None
    assert server.num_rounds == 9


def test_a_part_of_them_is_drawn(spec):
    server = simulated(spec, settings(clients_per_round=2, clients=2)).server

    assert (server.min_num_clients, server.max_num_clients) == (2, 3)
    assert server.clients_per_round == 2


def test_rounds_are_a_count(spec):
    assert simulated(spec, settings(rounds=5)).server.num_rounds == 7


def test_more_rounds_than_there_are_numbers_are_refused(spec):
    with pytest.raises(UsageError, match="at most 2147483645"):
        simulated(spec, settings(rounds=2**31 - 2))


def test_names_and_variables_are_those_of_separate_processes():
    made = settings(clients_per_round=3, variables={"NUM_SITES": 9, "X": "y"})

    assert made.names == ["site-1", "site-2", "site-3", "site-4"]
    assert made.all_variables == {"MIN_NUM_CLIENTS": 3, "NUM_SITES": 9, "X": "y"}


@pytest.mark.parametrize(
    "wrong", [{"clients": 0}, {"clients_per_round": 5}, {"clients_per_round": 0}, {"rounds": -1}]
)
def test_numbers_that_make_no_sense_are_refused(wrong):
    with pytest.raises(UsageError):
        check_settings(settings(**wrong))


def test_children_are_no_more_than_clients():
    assert settings(clients=1).children == 1
    assert settings(pool_size=7).children == 7


def test_a_job_travels_as_json():
    job = Job(
        settings(
            plugins_dir=Path("/plugins"), durability=Durability.FULL, seed=3, variables={"A": 1}
        ),
        "unix:/s",
    )

    assert Job.from_json(json.loads(json.dumps(job.to_json()))) == job
