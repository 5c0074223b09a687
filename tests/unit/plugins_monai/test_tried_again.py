# SPDX-License-Identifier: Apache-2.0
"""A task that failed and is tried again: as if the failed one had never been."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest

from mmar_runner.errors import TaskFailedError
from mmar_runner_torch.files import read_state

from .conftest import same

pytestmark = pytest.mark.timeout(120)  # Importing MONAI alone may take ten seconds.

GARBAGE = b"no image"


@pytest.fixture
def uncached(site, tmp_path):
    """Return a site of its own volumes, which are read anew in every epoch."""
    mmar = tmp_path / "mmar"
    shutil.copytree(site.mmar, mmar)

    def change(config):
        for section in ("train", "validate"):
            config[section]["dataset"]["name"] = "Dataset"
        config["train"]["handlers"][1]["args"]["interval"] = 1

    return replace(site, mmar=mmar).but(change)


def image(site, key, number):
    listed = json.loads((site.mmar / "data" / "list.json").read_text())
    return site.mmar / "data" / listed[key][number]["image"]


@pytest.mark.parametrize("arguments", [{"local_epochs": 2}, {"steps_aggregation": 4}])
@pytest.mark.parametrize("key", ["training", "validation"])
def test_a_task_succeeds_once_its_cause_is_gone(uncached, arguments, key):
    first, second = uncached.task(validate=False), uncached.task(1, validate=False)
    expected = uncached.trained(second, **arguments)
    trainer = uncached.trainer(**arguments)
    trainer.train(first)
    damaged = image(uncached, key, 1)
    whole = damaged.read_bytes()

    damaged.write_bytes(GARBAGE)
    for _ in range(2):  # and a second time it is still that
        with pytest.raises(TaskFailedError, match=damaged.name):
            trainer.train(replace(second, update=uncached.folder / "none"))
    damaged.write_bytes(whole)
    again = replace(second, update=uncached.folder / "again")
    result = trainer.train(again)
    trainer.close()

    assert same(read_state(again.update), expected[0])
    assert result == expected[1]


def test_another_cause_is_told_as_itself(uncached):
    trainer, task = uncached.trainer(), uncached.task(validate=False)
    damaged = [image(uncached, "training", number) for number in (0, 1)]
    whole = [one.read_bytes() for one in damaged]

    for one, content in zip(damaged, whole, strict=True):
        one.write_bytes(GARBAGE)
        with pytest.raises(TaskFailedError, match=one.name):
            trainer.train(task)
        one.write_bytes(content)


def test_a_measurement_that_failed_leaves_no_numbers_of_an_earlier_one(uncached):
    trainer, task = uncached.trainer(), uncached.task()
    model = task.model
    before = trainer.validate(model)
    damaged = image(uncached, "validation", 0)
    whole = damaged.read_bytes()

    damaged.write_bytes(GARBAGE)
    for _ in range(2):
        with pytest.raises(TaskFailedError, match=damaged.name):
            trainer.validate(model)
    damaged.write_bytes(whole)

    assert trainer.validate(model) == before
