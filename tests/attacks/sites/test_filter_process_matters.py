# SPDX-License-Identifier: Apache-2.0
"""The site's filters have a process of their own: in another's, its code would undo them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from mmar_runner.children.spec import ChildContext, ChildSpec
from mmar_runner.client.settings import SessionSettings
from mmar_runner.client.tasks.component_specs import site_filter_spec
from mmar_runner.client.tasks.filtering import FilterChain
from mmar_runner.interfaces.aggregator import UpdateKind
from mmar_runner.interfaces.filter import FilterContext
from tests.distributions import install

PLUGIN = """
from mmar_runner.hooks import hookimpl
from mmar_runner.interfaces.filter import Filter

@hookimpl
def mmar_register_components(registry):
    registry.add(kind="filter", name="BlankAll", target=":BlankAll")

class BlankAll(Filter):
    def apply(self, name, tensor):
        return tensor * 0
"""
#: What an MMAR that the site accepted may bring: it lets every other filter do nothing.
EVIL = """
from mmar_runner.interfaces.filter import Filter

class Evil(Filter):
    def begin(self, context):
        for kind in Filter.__subclasses__():
            if kind is not Evil:
                kind.apply = lambda self, name, tensor: tensor

    def apply(self, name, tensor):
        return tensor
"""
CONTEXT = FilterContext("site-1", 0, UpdateKind("weights"), 7)
OWN = {"name": "BlankAll", "args": {}}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install the site's filter, and lay the MMAR's code beside."""
    packages = tmp_path / "site-packages"
    install(packages, "blank_all_filter", PLUGIN, name="blank-all")
    monkeypatch.setenv("PYTHONPATH", str(packages))
    (tmp_path / "custom").mkdir()
    (tmp_path / "custom" / "evil.py").write_text(EVIL)
    save_file({"private": np.ones(8, np.float32)}, tmp_path / "update")
    return tmp_path


def brought(folder: Path, *filters: dict) -> ChildSpec:
    """Return a child in which an MMAR's own code runs."""
    component = {"filters": list(filters)}
    custom = str(folder / "custom")
    return ChildSpec(role="filter", component=component, custom_dir=custom)


def sent(folder: Path, *specs: ChildSpec) -> np.ndarray:
    """Send the update through one child after the other, as a client does."""

    async def through() -> Path:
        path = folder / "update"
        for number, spec in enumerate(specs):
            chain = FilterChain(spec, log=folder / "log", timeout=30)
            try:
                path = await chain.apply(path, folder / f"filtered-{number}", CONTEXT)
            finally:
                await chain.close()
        return path

    return load_file(asyncio.run(through()))["private"]


def own_process(folder: Path) -> ChildSpec:
    """Return the child that the client makes for a site's filters."""
    settings = object.__new__(SessionSettings)
    for name, value in {"name": "site-1", "threads": 1, "memory_limit_bytes": None}.items():
        object.__setattr__(settings, name, value)
    return site_filter_spec(settings, [OWN])


EVIL_FILTER = {"path": "evil.Evil", "args": {}}


def test_e09_accepted_code_cannot_reach_the_sites_filter(folder):
    assert not sent(folder, brought(folder, EVIL_FILTER), own_process(folder)).any()


def test_e09_in_one_process_with_that_code_the_sites_filter_does_nothing(folder):
    """The guard is the process: the same filters in the same order, but in one child."""
    assert sent(folder, brought(folder, EVIL_FILTER, OWN)).all()


def test_e09_the_sites_filter_works_where_nobody_reaches_it(folder):
    """The control: without the MMAR's code the tensor is blank, in one child or in two."""
    assert not sent(folder, own_process(folder)).any()
    assert not sent(folder, brought(folder, OWN)).any()
    assert sent(folder).all()


def test_e09_the_sites_child_holds_nothing_of_the_mmar(folder):
    spec = own_process(folder)
    assert spec.custom_dir is None
    assert spec.plugins_dir is None
    assert spec.context == ChildContext(spec.context.client_name)
