# SPDX-License-Identifier: Apache-2.0
"""What older code can import, and who else can: nobody."""

from __future__ import annotations

import importlib
import sys
from contextlib import contextmanager
from types import ModuleType

import pytest

from mmar_runner_clara_code.importing import forbid_import, let_import
from mmar_runner_clara_code.names import PROVIDED, ROOTS


@contextmanager
def mapped():
    let_import()
    try:
        yield
    finally:
        forbid_import()


def run(statement):
    exec(statement, {})  # noqa: S102 - as a module of custom/ would say it


@pytest.mark.parametrize("module", sorted(PROVIDED))
def test_every_name_can_be_imported(module):
    with mapped():
        made = importlib.import_module(module)
        assert all(getattr(made, name).__doc__ for name in PROVIDED[module])


def test_a_name_is_the_same_wherever_it_is_imported_from():
    with mapped():
        one = importlib.import_module("nvflare.apis.signal").Signal
        other = importlib.import_module("nvflare.common.signal").Signal
    assert one is other


def test_a_module_is_taken_from_its_package():
    with mapped():
        run("from nvflare.apis import dxo, shareable; dxo.DXO; shareable.Shareable")


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("import nvflare.private.fed", r"no module 'nvflare.private'.*nvflare.apis.filter"),
        ("import medl.apps.fed_learn", "no module 'medl'; it provides: nvflare.apis"),
        (
            "from nvflare.apis.filter import FilterChain",
            "no 'FilterChain' in 'nvflare.apis.filter'",
        ),
        ("from nvflare.apis import Controller", "no 'Controller' in 'nvflare.apis'.*Aggregator"),
        ("from nvflare import apis2", "no 'apis2' in 'nvflare'; there is: nothing but modules"),
    ],
)
def test_what_is_not_provided_is_named_with_what_is(statement, says):
    with mapped(), pytest.raises(ImportError, match=says):
        run(statement)


def test_a_constant_that_is_not_there_is_named_with_those_that_are():
    with mapped():
        constants = importlib.import_module("nvflare.apis.fl_constant")
    with pytest.raises(AttributeError, match=r"no 'MODEL'.*MODEL_WEIGHTS"):
        _ = constants.ShareableKey.MODEL


def test_nothing_is_left_afterwards():
    before = list(sys.meta_path)
    with mapped(), mapped():
        importlib.import_module("nvflare.apis.dxo")
    assert sys.meta_path == before
    assert not [name for name in sys.modules if name.partition(".")[0] in ROOTS]
    for root in ROOTS:
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module(root)


def test_a_package_that_is_really_installed_is_not_what_older_code_gets(
    tmp_path, monkeypatch, caplog
):
    (tmp_path / "nvflare.py").write_text("real = True\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(sys.modules, "nvflare", ModuleType("nvflare"))
    with mapped():
        assert "real" not in vars(importlib.import_module("nvflare.apis.signal"))
    assert "nvflare is installed here; older code is given this plugin's" in caplog.text
    assert importlib.import_module("nvflare").real
    del sys.modules["nvflare"]
