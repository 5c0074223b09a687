# SPDX-License-Identifier: Apache-2.0
"""Which algorithms do not go together, by what their plugins state of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mmar_runner.interfaces.catalog import ComponentDescription, ComponentKind
from mmar_runner.interfaces.tags import Tag, least_clients, tags_of
from tests.unit.mmar.conftest import _COMPONENTS, FakeCatalog


def _one(kind, name, *tags, least=None, **properties):
    schema = {"type": "object", "properties": properties, "additionalProperties": False}
    extras = {"tags": list(tags)} | ({"min_clients": least} if least else {})
    return ComponentDescription(
        ComponentKind(kind), name, f"not_there:{name}", schema, extras=extras
    )


_F = {"type": "integer", "minimum": 0, "default": 1}
_CLIP = {"type": "number", "default": 1.0}
_LEAST = {"base": 0, "per": {"least_clients": 1}}
_EXCLUDED = {"type": ["string", "array", "null"], "default": None}
_IF = {"tag": "sends_control_variates", "if": "algorithm", "is": "scaffold"}
_COUNTED = {"tag": "counts_sampling", "if": "count"}
_STALE = {"tag": "stale_bases", "if": "max_staleness"}
_STALENESS = {"type": "integer", "minimum": 0, "default": 10}
_SEND = {"enum": ["weights", "weight_diff"], "default": "weights"}
_SENDS = {"produces": {"argument": "send"}}
_MORE = (
    _one("aggregator", "Krum", Tag.NEEDS_EACH_UPDATE, least={"base": 3, "per": {"f": 2}}, f=_F),
    _one("aggregator", "SecureSum", Tag.UNMASKS, Tag.SUMS, clip_range=_CLIP),
    _one("aggregator", "Scaffold", Tag.CONTROL_VARIATES),
    _one("filter", "Mask", Tag.MASKS, least=_LEAST, least_clients=_F, clip_range=_CLIP),
    _one("filter", "Weigh", Tag.SCALES),
    _one("filter", "Noise", Tag.ADDS_NOISE, Tag.NOISE_NEEDS_CLIP),
    _one("filter", "Both", Tag.ADDS_NOISE, Tag.NOISE_NEEDS_CLIP, Tag.CLIPS),
    _one("filter", "Clip", Tag.CLIPS),
    _one("filter", "Percentile", Tag.BOUNDS_VALUES),
    _one("filter", "Exclude", Tag.DROPS_TENSORS, exclude_vars=_EXCLUDED),
    _one("aggregator", "Sampled", Tag.CLIPS, _COUNTED, count={"type": "boolean", "default": False}),
    _one("aggregator", "Median", Tag.NEEDS_EACH_UPDATE, Tag.COMPARES_UPDATES),
    _one("aggregator", "Clipping", Tag.NEEDS_EACH_UPDATE),
    _one("aggregator", "Adam", Tag.SUMS, Tag.KEEPS_STATE),
    _one("workflow", "Turns", Tag.ONE_AT_A_TIME),
    _one("workflow", "Buffer", Tag.ASYNCHRONOUS, _STALE, max_staleness=_STALENESS),
    _one("client_trainer", "Learner", _IF, algorithm={"default": "sgd"}),
)


@pytest.fixture
def job(mmar):
    mmar.catalog = FakeCatalog((*_COMPONENTS, *_MORE))
    mmar.client["client"]["outbound_filters"] = []
    mmar.client["client_trainer"] = {"name": "Learner"}
    mmar.train = None
    mmar.server["aggregator"] = {"name": "FedAvg"}
    return mmar


def _filters(job, *names, **args):
    job.client["client"]["outbound_filters"] = [
        {"name": name, "args": args} if args else {"name": name} for name in names
    ]


def test_what_goes_together_has_no_finding(job):
    _filters(job, "Clip", "Noise", "Weigh")
    assert job.findings() == ()


def test_too_few_clients_for_a_guarantee_are_found_before_anything_runs(job):
    job.server["aggregator"] = {"name": "Krum", "args": {"f": 2}}
    job.task["min_num_clients"] = 6

    found = job.only()

    assert (found.code, found.pointer) == ("MMAR651", "/servers/0/min_num_clients")
    assert "needs updates of 7 clients; a round may close with 6" in found.message
    assert found.hint == "Write at least 7, or lower 'f' of 'Krum'."
    job.task["min_num_clients"] = 7
    assert job.findings() == ()


def test_an_argument_left_out_counts_with_its_default(job):
    job.server["aggregator"] = {"name": "Krum"}
    job.task["min_num_clients"] = 4

    assert "needs updates of 5 clients" in job.only().message


def test_masked_updates_cannot_be_compared(job):
    job.server["aggregator"] = {"name": "Krum", "args": {"f": 0}}
    job.task["min_num_clients"] = 3
    _filters(job, "Mask")

    found = job.only()

    assert (found.code, found.pointer) == ("MMAR650", "/aggregator")
    assert "'Krum' compares updates one by one" in found.message
    assert "'Mask'" in found.message


def test_masked_updates_need_who_unmasks_them(job):
    _filters(job, "Mask")
    found = job.only()
    assert "'FedAvg' takes no masked updates" in found.message
    assert found.hint == "Take SecureSum."

    job.server["aggregator"] = {"name": "SecureSum"}
    assert job.findings() == ()

    _filters(job)
    found = job.only()
    assert "no filter masks them" in found.message
    assert found.hint == "Declare Mask last in the outbound_filters."


def test_nothing_comes_after_a_mask(job):
    job.server["aggregator"] = {"name": "SecureSum"}
    _filters(job, "Mask", "Clip")

    found = job.only()

    assert (found.code, found.pointer) == ("MMAR650", "/client/outbound_filters/1")
    assert found.hint == "Declare it before 'Mask'."

    _filters(job, "Mask", "Mask")
    assert job.only().hint == "Remove it."


def test_what_masks_and_what_unmasks_agree(job):
    job.server["aggregator"] = {"name": "SecureSum", "args": {"clip_range": 2.0}}
    _filters(job, "Mask")

    found = job.only()

    assert (found.code, found.pointer) == ("MMAR650", "/aggregator")
    assert "'SecureSum' has clip_range 2.0, and 'Mask' 1.0" in found.message

    _filters(job, "Mask", clip_range=2.0)
    assert job.findings() == ()


def test_a_filter_may_need_more_clients_than_a_round_closes_with(job):
    job.server["aggregator"] = {"name": "SecureSum"}
    job.task["min_num_clients"] = 2
    _filters(job, "Mask", least_clients=3)

    found = job.only()

    assert (found.code, found.pointer) == ("MMAR651", "/servers/0/min_num_clients")
    assert "'Mask' with these arguments needs updates of 3 clients" in found.message


def test_masks_leave_no_weights_to_clients(job):
    job.server["aggregator"] = {"name": "SecureSum"}
    _filters(job, "Weigh", "Mask")

    found = job.only()

    assert found.pointer == "/client/outbound_filters/0"
    assert "nobody can divide" in found.message


def test_masked_numbers_are_not_rounded(job):
    job.server |= {"aggregator": {"name": "SecureSum"}, "update_codec": "bf16"}
    _filters(job, "Mask")

    found = job.only()

    assert (found.code, found.pointer) == ("MMAR650", "/update_codec")


def test_masks_hide_nothing_where_the_best_local_model_leaves_as_it_is(job):
    job.server["aggregator"] = {"name": "SecureSum"}
    _filters(job, "Mask")
    section = {"is_participating": True}
    job.client |= {"cross_validate": True, "cross_site_validation": section}

    found = job.only()

    assert (found.code, found.pointer) == ("MMAR650", "/client/outbound_filters/0")
    assert "sends the best local model as it is" in found.message
    section["outbound_filters"] = [{"name": "Clip"}]
    assert job.findings() == ()


@pytest.mark.parametrize("workflow", ["Turns", "Buffer"])
def test_masks_need_a_group(job, workflow):
    job.server |= {"aggregator": {"name": "SecureSum"}, "workflow": {"name": workflow}}
    _filters(job, "Mask")

    found = job.only()

    assert (found.code, found.pointer) == ("MMAR650", "/workflow")
    assert "cancel only within one group" in found.message
    job.server["workflow"] = {"name": workflow, "disabled": True}
    assert job.findings() == ()


@pytest.mark.parametrize("workflow", ["Turns", "Buffer"])
def test_privacy_by_chance_needs_a_chance(job, workflow):
    sampled = {"name": "Sampled", "args": {"count": True}}
    job.server |= {"aggregator": sampled, "workflow": {"name": workflow}}

    found = job.only()

    assert (found.code, found.pointer) == ("MMAR650", "/aggregator")
    assert "drawn by chance" in found.message
    job.server["aggregator"] = {"name": "Sampled"}
    assert job.findings() == ()


def test_control_variates_are_of_one_model(job):
    job.server |= {"aggregator": {"name": "Scaffold"}, "workflow": {"name": "Buffer"}}
    job.client["client_trainer"]["args"] = {"algorithm": "scaffold"}

    found = job.only()

    assert (found.code, found.pointer) == ("MMAR650", "/aggregator")
    assert "the server's would not stay the clients' mean, as 'Scaffold' needs" in found.message
    job.server["workflow"] = {"name": "Buffer", "args": {"max_staleness": 0}}
    assert job.findings() == ()


def test_updates_that_are_compared_are_of_one_model(job):
    job.server |= {"aggregator": {"name": "Median"}, "workflow": {"name": "Buffer"}}

    found = job.only()

    assert (found.code, found.pointer) == ("MMAR650", "/aggregator")
    assert "samples of one distribution" in found.message
    job.server["workflow"] = {"name": "Buffer", "args": {"max_staleness": 0}}
    assert job.findings() == ()


@pytest.mark.parametrize("aggregator", ["FedAvg", "Adam", "Clipping"])
def test_updates_of_older_models_can_be_added_up_and_bounded(job, aggregator):
    job.server |= {"aggregator": {"name": aggregator}, "workflow": {"name": "Buffer"}}
    assert job.findings() == ()


def test_a_rule_for_several_updates_is_no_rule_for_turns(job):
    job.server |= {"aggregator": {"name": "Krum"}, "workflow": {"name": "Turns"}}
    job.task["min_num_clients"] = 5

    found = job.only()

    assert (found.code, found.pointer) == ("MMAR650", "/aggregator")
    assert "closes a round with one update; 'Krum' needs 5" in found.message


def test_noise_without_a_bound_is_no_privacy(job):
    _filters(job, "Noise")
    assert "it is no privacy" in job.only().message

    _filters(job, "Noise", "Clip")  # too late
    assert job.only().pointer == "/client/outbound_filters/0"

    _filters(job, "Both")
    assert job.findings() == ()


def test_what_protects_updates_protects_no_best_model(job):
    job.client["cross_validate"] = True
    job.client["cross_site_validation"] = {"is_participating": True}
    job.server["result_processors"] = [{"name": "Metrics"}, {"name": "Matrix"}]
    _filters(job, "Both")

    found = [f for f in job.findings() if f.code == "MMAR652"]

    assert [(f.pointer, f.severity) for f in found] == [("/cross_validate", "warning")]
    job.client["cross_site_validation"]["outbound_filters"] = [{"name": "Both"}]
    assert not [f for f in job.findings() if f.code == "MMAR652"]


def test_control_variates_need_both_sides(job):
    job.server["aggregator"] = {"name": "Scaffold"}
    assert "'Learner' sends none" in job.only().message

    job.client["client_trainer"]["args"] = {"algorithm": "scaffold"}
    assert job.findings() == ()

    job.server["aggregator"] = {"name": "FedAvg"}
    assert "'FedAvg' takes none" in job.only().message


@pytest.mark.parametrize(
    ("name", "args", "spoils"),
    [
        ("Percentile", {}, True),
        ("Noise", {}, True),
        ("Exclude", {"exclude_vars": "control"}, True),
        ("Exclude", {"exclude_vars": ["control_variate/a"]}, True),
        ("Exclude", {"exclude_vars": "^bn"}, False),
        ("Exclude", {"exclude_vars": ["a.weight"]}, False),
        ("Clip", {}, False),
    ],
)
def test_control_variates_survive_no_filter_that_changes_them(job, name, args, spoils):
    job.server["aggregator"] = {"name": "Scaffold"}
    job.client["client_trainer"]["args"] = {"algorithm": "scaffold"}
    before = ["Clip", name] if name == "Noise" else [name]
    _filters(job, *before)
    job.client["client"]["outbound_filters"][-1]["args"] = args

    found = job.findings()

    assert bool(found) is spoils
    if spoils:
        assert "control variates" in found[0].message


def test_code_of_the_mmars_own_is_held_to_nothing(job):
    job.server["aggregator"] = {"name": "SecureSum"}
    job.write(
        "custom/mine.py",
        "from mmar_runner.interfaces.filter import Filter\n\n\n"
        "class Own(Filter):\n    def apply(self, name, tensor):\n        return tensor\n",
    )
    job.client["client"]["outbound_filters"] = [{"path": "mine.Own"}]

    assert {f.code for f in job.findings()} == {"MMAR614"}


def test_one_side_alone_is_judged_by_what_it_knows(job):
    job.server["aggregator"] = {"name": "SecureSum"}
    assert job.findings(side="server") == ()


def test_a_tag_may_depend_on_an_argument():
    extras = {"tags": ["clips", {"tag": "adds_noise", "if": "dp"}, _IF]}
    assert tags_of(extras, {"dp": None}) == {"clips"}
    assert tags_of(extras, {"dp": {"z": 1}, "algorithm": "scaffold"}) == {
        "clips",
        "adds_noise",
        "sends_control_variates",
    }


def test_a_minimum_is_a_function_of_arguments():
    assert least_clients({}, {}) == 1
    assert least_clients({"min_clients": {"base": 3, "per": {"f": 4}}}, {"f": 2}) == 11


def test_a_trainer_that_can_send_what_the_aggregator_takes_is_told_how(job):
    job.server["aggregator"] = {"name": "OnlyDiffs"}
    job.catalog = FakeCatalog(
        (
            *_COMPONENTS,
            *_MORE,
            replace(_one("client_trainer", "Chooser", send=_SEND), extras=_SENDS),
        )
    )
    job.client["client_trainer"] = {"name": "Chooser"}

    found = job.only()

    assert (found.code, found.hint) == ("MMAR620", 'Give the trainer "send": "weight_diff".')
