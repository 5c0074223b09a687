# SPDX-License-Identifier: Apache-2.0
"""One round of a whole federation on made-up data: what is measured, and what fails where."""

from __future__ import annotations

import json
import os
import signal

import pytest

from mmar_runner.deep.failures import Failures
from mmar_runner.interfaces.observer import Observation, Topic
from mmar_runner.mmar.validation import validate
from tests.unit.deep.conftest import job

CLIENT = "config/config_fed_client.json"
SERVER = "config/config_fed_server.json"
TRAIN = "config/config_train.json"


@pytest.fixture
def tried(deeply, tmp_path, monkeypatch):
    """Return a function that checks an MMAR and tries a round."""
    memory = tmp_path / "memory"
    memory.mkdir()
    monkeypatch.setattr("mmar_runner.deep.dry_run._MEMORY", memory)

    def look(root, **options):
        report = deeply(root, dry_run=True, **options)
        assert list(memory.iterdir()) == [], "the round left its folder behind"
        return report

    return look


def test_a_round_is_measured_beside_the_estimates(tmp_path, tried):
    report = tried(job().write(tmp_path))

    assert report.findings == ()
    assert report.deep.dry_run == 2
    figures = {one.what: one for one in report.deep.figures}
    for what in ("model_down", "update_up"):
        assert figures[what].estimate == figures[what].measured
    assert figures["server_memory"].measured < figures["server_memory"].estimate
    assert figures["trainer_memory"].measured > 0
    assert figures["seconds"].measured >= figures["round_seconds"].measured > 0


@pytest.mark.parametrize(
    ("change", "file", "pointer", "words"),
    [
        pytest.param(
            lambda mmar: mmar.trainer("StatedTrainer", fails="train"),
            CLIENT,
            "/client_trainer",
            "ValueError: the loss is no number",
            id="trainer",
        ),
        pytest.param(
            lambda mmar: mmar.trainer("StatedTrainer", fails="train: sample 0: Stated: no key"),
            TRAIN,
            "/train/model",
            "train: sample 0: Stated: no key",
            id="part",
        ),
        pytest.param(
            lambda mmar: mmar.trainer("StatedTrainer", fails="train: use Stated upstream"),
            CLIENT,
            "/client_trainer",
            "use Stated upstream",
            id="part in passing",
        ),
        pytest.param(
            lambda mmar: mmar.client_filter("RefusingFilter"),
            CLIENT,
            "/outbound_filters/0",
            "may not leave",
            id="filter",
        ),
        pytest.param(
            lambda mmar: mmar.aggregator("FallingRule"),
            SERVER,
            "/aggregator",
            "this rule combines nothing",
            id="aggregator",
        ),
        pytest.param(
            lambda mmar: mmar.handler("FallingHandler"),
            SERVER,
            "/handlers/0",
            "this handler falls",
            id="handler",
        ),
    ],
)
def test_what_fails_is_found_where_it_is_declared(tmp_path, tried, change, file, pointer, words):
    report = tried(change(job()).write(tmp_path))

    errors = [f for f in report.findings if f.code == "MMAR668"]
    assert [(f.severity, f.file, f.pointer) for f in errors] == [("error", file, pointer)]
    assert words in errors[0].message
    assert "mmar-dry-run" not in f"{errors[0].message} {errors[0].hint}"
    assert errors[0].line > 0


def test_a_trainer_that_makes_no_data_up_is_a_note(tmp_path, tried):
    report = tried(job(data="real").write(tmp_path))

    (found,) = report.findings
    assert (found.code, found.severity, found.pointer) == ("MMAR669", "note", "/client_trainer")
    assert "Trainer makes no data up for a dry run" in found.message
    assert report.valid
    assert report.deep.dry_run is None


def test_no_round_is_tried_where_networks_do_not_go_together(tmp_path, tried):
    report = tried(job(trained={"w": ["F32", [8, 3]], "b": ["F32", [4]]}).write(tmp_path))

    assert [f.code for f in report.findings] == ["MMAR663"]
    assert report.deep.dry_run is None


def test_a_round_that_does_not_end_is_given_up(tmp_path, tried):
    report = tried(job().write(tmp_path), dry_run_seconds=0.05)

    (found,) = [f for f in report.findings if f.code == "MMAR668"]
    assert "the round was not over within 50 ms" in found.message


class Ends:
    """Ends this process in order, once something is begun or seen."""

    def __init__(self, moment):
        self.moment = moment

    def stage(self, text):
        self.hears(text)

    def observe(self, observation):
        self.hears(str(observation.topic))

    def waits(self):
        pass

    def hears(self, text):
        if self.moment in text:
            self.moment = "no other"
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize("moment", ["networks are built", "one round of 2 clients", "model_sent"])
def test_a_check_that_is_interrupted_finds_nothing_and_leaves_nothing(tmp_path, tried, moment):
    before = signal.getsignal(signal.SIGTERM)
    watcher = Ends(moment)

    with pytest.raises(KeyboardInterrupt):
        tried(job(fails="hang").write(tmp_path), watcher=watcher)

    assert watcher.moment == "no other"
    assert list((tmp_path / "memory").iterdir()) == []
    assert signal.getsignal(signal.SIGTERM) is before


def test_an_mmar_that_few_clients_make_invalid_is_a_note(tmp_path, tried):
    """It draws five of at least five: with two clients nothing is wrong but their number."""
    root = job().variables(MIN_NUM_CLIENTS=5).top_level(clients_per_round=5)
    report = tried(root.server(max_num_clients="{MIN_NUM_CLIENTS}").write(tmp_path))

    (found,) = [f for f in report.findings if f.code == "MMAR669"]
    assert (found.severity, found.pointer) == ("note", "/clients_per_round")
    assert found.message.startswith("A round of 2 clients cannot be tried: ")
    assert report.valid


def test_a_part_whose_place_is_told_is_found_there(tmp_path, plugins):
    root = job().write(tmp_path)
    checked = validate(root, plugins.registry)
    lines = (root / TRAIN).read_text("utf-8").splitlines()
    line = next(number for number, text in enumerate(lines, 1) if '"model"' in text)
    failures = Failures(checked.look, checked.spec)

    failures.note(f"train: the part ({TRAIN}:{line}) failed: KeyError: 'pred'")
    failures.note(f"StatedTrainer: the part ({TRAIN}:{line}0) is of no such line")
    failures.report()

    errors = [f for f in checked.again().report.findings if f.code == "MMAR668"]
    assert [(f.file, f.line) for f in errors] == [(CLIENT, errors[0].line), (TRAIN, line)]


def test_a_round_that_takes_more_memory_than_it_may_says_so(tmp_path, tried):
    builder = job().trainer("StatedTrainer", fails="100 GB")
    report = tried(builder.write(tmp_path), dry_run_bytes=16 << 30)

    (found,) = [f for f in report.findings if f.code == "MMAR668"]
    assert (found.severity, found.file, found.pointer) == ("error", CLIENT, "/client_trainer")
    assert "allocate memory" in found.message
    assert "it may take 16.0 GiB here" in found.hint


def policy(folder, **keys):
    file = folder / "site_policy.json"
    file.write_text(json.dumps({"version": 1, **keys}))
    return file


def test_a_sites_own_filters_run_in_the_round(tmp_path, tried):
    own = {"name": "LocalDP", "args": {"epsilon": 0.01, "clip": 1.0, "noise_multiplier": 0.5}}
    site = policy(tmp_path, mandatory_filters={"outbound": [own]})
    report = tried(job().write(tmp_path), policy=site)

    (found,) = [f for f in report.findings if f.code == "MMAR668"]
    assert "LocalDP" in found.message


def test_a_sites_limit_of_memory_holds_in_the_round(tmp_path, tried):
    builder = job().trainer("StatedTrainer", fails="100 GB")
    site = policy(tmp_path, trainer={"memory_bytes": 8 << 30})
    report = tried(builder.write(tmp_path), policy=site)

    (found,) = [f for f in report.findings if f.code == "MMAR668"]
    assert "it may take 8.0 GiB here" in found.hint


@pytest.mark.parametrize(
    ("observed", "told"),
    [
        (["NO_METRICS: nothing validates", "TASK_FAILED: a key is missing"], ["a key is missing"]),
        (["NO_METRICS: nothing validates"], ["nothing validates"]),
    ],
)
def test_that_there_are_no_metrics_is_said_where_nothing_says_why(
    tmp_path, plugins, observed, told
):
    checked = validate(job().write(tmp_path), plugins.registry)
    failures = Failures(checked.look, checked.spec)

    for reason in observed:
        failures.observe(Observation(Topic.CROSS_SITE_RESULT, {"reason": reason}))
    failures.report()

    errors = [f for f in checked.again().report.findings if f.code == "MMAR668"]
    assert len(errors) == len(told)
    assert all(words in error.message for error, words in zip(errors, told, strict=True))
