# SPDX-License-Identifier: Apache-2.0
"""Filters of the server: over every update before the rule, and over the result after it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from mmar_runner.errors import MmarInvalidError
from mmar_runner.testing.builders import MmarBuilder, component
from mmar_runner.testing.federation import Federation

PLUGINS = Path(__file__).parent / "filters_plugins"


def ran(folder, *, inbound=(), outbound=(), work="work", trainer=None, rule=None, **more):
    """Run two rounds with two sites whose constants are 1 and 2; return outcome and run."""
    builder = MmarBuilder().trainer("EchoTrainer", constant="{SITE_INDEX}")
    if trainer is not None:
        builder.trainer(trainer)
    if rule is not None:
        builder.aggregator("LeavingRule", what=rule)
    builder.top_level(inbound_filters=list(inbound), outbound_filters=list(outbound))
    place = folder / work
    place.mkdir(parents=True, exist_ok=True)
    mmar, workspace = builder.write(place), place / "ws"
    with Federation(mmar, workspace=workspace, plugins_dir=PLUGINS, **more) as federation:
        return federation.run(), workspace / "run_1"


def final(run):
    return load_file(run / "models" / "final.safetensors")


def test_updates_pass_before_they_are_combined(tmp_path):
    _, plain = ran(tmp_path, work="plain")
    outcome, run = ran(tmp_path, inbound=[component("Times", by=0.5)], work="half")
    assert outcome.status == "finished"
    start = load_file(run / "models" / "round_0001.safetensors")
    # Every round the mean of 1 and 2 is added, or half of it.
    for name, whole in final(plain).items():
        assert np.allclose(whole - final(run)[name], 2 * 1.5 - 2 * 0.75), name
        assert start[name].dtype == whole.dtype


def test_the_result_passes_before_it_is_a_model(tmp_path):
    _, plain = ran(tmp_path, work="plain")
    _, run = ran(tmp_path, outbound=[component("Times", by=2.0)], work="twice")
    for name, whole in final(plain).items():
        assert np.allclose(final(run)[name] - whole, 2 * 1.5), name


def test_a_filter_is_told_whose_update_it_is(tmp_path):
    _, run = ran(tmp_path, inbound=[component("Noting")], outbound=[component("Noting")])
    seen = {str(p.relative_to(run / "ledger")): p.read_text() for p in run.rglob("seen")}
    assert seen == {
        "inbound_filters/site-1/Noting/seen": "site-1 0 weights 1\nsite-1 1 weights 1\n",
        "inbound_filters/site-2/Noting/seen": "site-2 0 weights 1\nsite-2 1 weights 1\n",
        "outbound_filters/server/Noting/seen": "server 0 weights 0\nserver 1 weights 0\n",
    }
    assert not (run / "inbound_filters").exists()  # nothing lies about


def test_each_update_has_noise_of_its_own(tmp_path):
    _, run = ran(tmp_path, inbound=[component("Noisy")])
    values = next(iter(final(run).values())).ravel()
    assert np.unique(values).size == values.size


@pytest.mark.parametrize("slot", ["inbound", "outbound"])
@pytest.mark.parametrize(
    ("name", "words"),
    [("Raising", "nothing can be made of"), ("Spoiling", "not finite, in the tensor")],
)
def test_a_filter_that_fails_ends_the_run_by_its_name_and_loses_no_update(
    tmp_path, slot, name, words
):
    outcome, run = ran(tmp_path, **{slot: [component(name)]})
    assert outcome.status == "failed"
    assert words in outcome.reason
    assert len(list((run / "models").glob("round_*.safetensors"))) == 1


def test_a_child_that_dies_loses_no_update(tmp_path):
    _, plain = ran(tmp_path, work="plain")
    outcome, run = ran(tmp_path, inbound=[component("KillsItself")])
    assert outcome.status == "failed"
    # The updates of the first round are on record, and both sites' trainers would raise now.
    outcome, _ = ran(tmp_path, inbound=[component("KillsItself")], retry_failed=True)
    assert outcome.status == "failed"  # of the second site it had not seen anything yet
    outcome, _ = ran(tmp_path, inbound=[component("KillsItself")], retry_failed=True)
    assert outcome.status == "finished"
    for name, whole in final(plain).items():
        assert np.array_equal(final(run)[name], whole), name
    events = (run / "events.jsonl").read_text()
    accepted = [line for line in events.splitlines() if "update_accepted" in line]
    assert len(accepted) == 4  # two sites, two rounds: none was sent twice


@pytest.mark.parametrize("slot", ["inbound", "outbound"])
@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("fifo", "is not a plain file"),
        ("folder", "is not a plain file"),
        ("link", "is a link"),
        ("shorter", "the file holds"),
        ("no tensors", "left what cannot be read"),
        ("other tensors", "others than its tensors"),
    ],
)
def test_what_a_filter_leaves_in_its_files_place_fails_the_run_by_its_name(
    tmp_path, slot, what, words
):
    outcome, run = ran(tmp_path, **{slot: [component("Leaving", what=what)]})
    assert (outcome.status, outcome.reason.count("the filter Leaving")) == ("failed", 1)
    assert f"the server's {slot}_filters" in outcome.reason
    assert words in outcome.reason
    assert "update_accepted" in (run / "events.jsonl").read_text()
    assert len(list((run / "models").glob("round_*.safetensors"))) == 1


@pytest.mark.parametrize("what", ["nothing", "folder taken"])
def test_a_filter_that_takes_its_file_away_fails_the_run(tmp_path, what):
    outcome, _ = ran(tmp_path, inbound=[component("Leaving", what=what)])
    assert (outcome.status, outcome.reason.count("the filter Leaving")) == ("failed", 1)


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("fifo", "is not a plain file"),
        ("folder", "is not a plain file"),
        ("link", "is a link"),
        ("nothing", "No such file"),
        ("folder taken", "No such file"),
        ("shorter", "the file holds"),
        ("no tensors", "left what cannot be read"),
        ("other tensors", "has no tensor"),
        ("dies", "SIGKILL"),
        ("hangs", "aggregate did not end within 5 seconds; its process was killed"),
    ],
)
def test_what_a_rule_leaves_in_its_results_place_fails_the_run_by_its_name(tmp_path, what, words):
    outcome, run = ran(tmp_path, rule=what, task_timeout=5.0)
    assert (outcome.status, outcome.reason.count("the aggregator LeavingRule")) == ("failed", 1)
    assert words in outcome.reason
    assert (run / "events.jsonl").read_text().count("update_accepted") == 2
    assert not (run / "aggregator").exists()


@pytest.mark.parametrize("slot", ["inbound", "outbound"])
def test_a_filter_that_never_returns_is_ended_and_loses_no_update(tmp_path, slot):
    outcome, run = ran(tmp_path, **{slot: [component("Hanging")]}, task_timeout=5.0)
    assert outcome.status == "failed"
    assert "filter did not end within 5 seconds; its process was killed" in outcome.reason
    assert not (run / f"{slot}_filters").exists()
    events = (run / "events.jsonl").read_text()
    assert events.count("update_accepted") == 2


def test_no_client_is_blamed_for_what_a_filter_made_infinite(tmp_path):
    outcome, run = ran(tmp_path, inbound=[component("Enlarging")], trainer="Still")
    assert outcome.status == "failed"
    assert "the filter Enlarging" in outcome.reason
    assert "withdrawn" not in (run / "events.jsonl").read_text()


def test_masked_updates_pass_no_filter_of_the_server(tmp_path):
    builder = MmarBuilder().aggregator("SecureSum").client_filter("SecAggFilter")
    builder.top_level(inbound_filters=[component("Times", by=0.5)])
    with pytest.raises(MmarInvalidError) as caught:
        Federation(builder.write(tmp_path), workspace=tmp_path / "ws", plugins_dir=PLUGINS)
    assert "'SecureSum' takes masked updates, which 'Times' cannot read" in str(caught.value)


def test_what_masks_does_so_at_the_clients(tmp_path):
    builder = MmarBuilder().top_level(outbound_filters=[component("SecAggFilter")])
    with pytest.raises(MmarInvalidError) as caught:
        Federation(builder.write(tmp_path), workspace=tmp_path / "ws", plugins_dir=PLUGINS)
    assert "at the server nobody unmasks it" in str(caught.value)
