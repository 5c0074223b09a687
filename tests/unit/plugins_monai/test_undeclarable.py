# SPDX-License-Identifier: Apache-2.0
"""Classes that need an object which no JSON value gives; and losses that compute another one."""

from __future__ import annotations

import inspect
from importlib import import_module

import pytest
import torch

from mmar_runner.errors import ComponentBuildError
from mmar_runner.hooks import load_plugins
from mmar_runner.hooks.components import blueprint
from mmar_runner_torch.losses import built_loss

from .conftest import same

pytestmark = pytest.mark.timeout(120)  # Importing MONAI alone may take ten seconds.

#: Arguments that whoever builds a part gives it.
GIVEN = {"data", "transform", "dataset", "params", "optimizer", "lr_scheduler", "validator"}
GIVEN |= {"trainer", "smartcacher", "device", "train_data_loader", "val_data_loader", "network"}
GIVEN |= {"loss_function"}
LOST = {
    "transform": ["BatchInverseTransform", "Cropd", "Invertd", "Padd", "RandCropd"],
    "model": ["NetAdapter", "VISTA3D"],
    "engine_handler": ["ParamSchedulerHandler"],
}
PLACES = {
    "transform": ("train", "pre_transforms", 5),
    "model": ("train", "model"),
    "engine_handler": ("train", "handlers", 3),
}
CASES = [(kind, name) for kind, names in LOST.items() for name in names]
DICE = {"to_onehot_y": True, "softmax": True}


@pytest.fixture(scope="module")
def registry():
    return load_plugins().registry


@pytest.mark.parametrize(("kind", "name"), CASES)
@pytest.mark.parametrize("key", ["name", "path"])
def test_it_is_said_before_anything_runs(registry, found, kind, name, key):
    listed = registry.find(kind, name)
    declared = {key: listed.target.replace(":", ".") if key == "path" else name}
    argument, instead = listed.extras["undeclarable"].values()

    [said] = [f for f in found(lambda v: _put(v, PLACES[kind], declared)) if f.severity == "error"]

    pointer = "/".join(map(str, ("", *PLACES[kind], key)))
    assert (said.code, said.pointer, said.hint) == ("MMAR524", pointer, instead)
    assert f"'{argument}'" in said.message
    with pytest.raises(ComponentBuildError, match=argument):
        blueprint(registry, kind, declared)


def test_what_is_to_be_used_instead_is_there(registry):
    for found in registry.tabled_descriptions():
        if stated := found.extras.get("undeclarable"):
            words = {word.strip(",.:") for word in stated["instead"].split()}
            named = [word for word in words if registry.kinds_of(word)]
            assert named or "lr_scheduler" in words, found.name
            assert not any(
                "undeclarable" in registry.find(found.kind, w).extras
                for w in named
                if registry.find(found.kind, w)
            )


def test_everything_else_has_what_its_class_needs(registry):
    """By the signatures of what is installed: nothing is offered that can never be built."""
    lost, lacking = [], []
    for found in registry.tabled_descriptions():
        module, _, name = found.target.partition(":")
        signature = inspect.signature(getattr(import_module(module), name))
        needed = {
            one.name
            for one in signature.parameters.values()
            if one.default is one.empty
            and one.kind in {one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY}
        }
        if "undeclarable" in found.extras:
            lost.append((found.kind.value, found.name))
        elif "becomes" not in found.extras:
            known = {*found.args_schema["properties"], *GIVEN}
            lacking += [(found.name, one) for one in sorted(needed - known)]
    assert sorted(lost) == sorted(CASES)
    assert not lacking


def test_a_loss_that_computes_another_one_trains(site):
    inner = {"name": "DiceCELoss", "args": {**DICE, "weight": [1.0, 2.0]}}
    loss = {"name": "DeepSupervisionLoss", "args": {"loss": inner}}

    plain = site.but(lambda c: c["train"].update(loss=inner)).trained()
    outer = site.but(lambda c: c["train"].update(loss=loss)).trained()

    assert same(plain[0], outer[0])


def test_losses_that_compute_another_one_are_built_with_it(registry):
    inner = {"name": "DiceLoss", "args": {"sigmoid": True}}
    drawn = torch.rand(2, 1, 8, 8, 8)
    ones = torch.ones_like(drawn)

    plain = built_loss(blueprint(registry, "loss", inner))(drawn, ones)
    masked = {"name": "MaskedLoss", "args": {"loss": inner}}
    scaled = {"name": "MultiScaleLoss", "args": {"loss": inner, "scales": [0]}}

    assert torch.equal(built_loss(blueprint(registry, "loss", masked))(drawn, ones, ones), plain)
    assert torch.equal(built_loss(blueprint(registry, "loss", scaled))(ones, drawn), plain)


def test_a_loss_inside_another_is_looked_at(found):
    inner = {"name": "DiceLoss", "args": {"softmx": True}}
    loss = {"name": "DeepSupervisionLoss", "args": {"loss": inner}}

    [said] = found(lambda v: v["train"].update(loss=loss))

    assert said.pointer == "/train/loss/args/loss/args/softmx"
    assert said.hint == "Did you mean 'softmax'?"


def _put(value, place, declared):
    *holder, last = place
    for step in holder:
        value = value[step]
    value[last] = declared
