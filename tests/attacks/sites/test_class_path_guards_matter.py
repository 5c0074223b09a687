# SPDX-License-Identifier: Apache-2.0
"""The looks at a class path, replaced: then a class that the site does not allow is built.

The class is a canary: one file is made when its module is imported, one when it is built.
"""

from __future__ import annotations

import sys

import pytest

from mmar_runner.errors import ComponentBuildError, NotAuthorizedError
from mmar_runner.hooks import importing
from mmar_runner.hooks.components import build_component
from mmar_runner.hooks.registry import ComponentRegistry

EVIL = """
from pathlib import Path
Path({folder!r}, "imported").touch()

class Canary:
    def __init__(self):
        Path({folder!r}, "built").touch()
"""
#: The site allows one module of the package, of which the plugin would allow everything.
ALLOWED = ("canarylab.good.",)


class Lab:
    """An installed package with an allowed module, and what became of its canary."""

    def __init__(self, folder):
        self._folder = folder
        package = folder / "canarylab"
        package.mkdir()
        (package / "__init__.py").touch()
        (package / "evil.py").write_text(EVIL.format(folder=str(folder)))
        offered = "from json import JSONDecoder\nfrom canarylab.evil import Canary\n"
        (package / "good.py").write_text(offered + "class Good:\n    pass\n")
        self._catalog = ComponentRegistry()
        self._catalog.add(kind="model", name="canarylab.", path_prefix=True)

    def build(self, path, allowed=ALLOWED):
        return build_component(self._catalog, "model", {"path": path}, allowed=allowed)

    @property
    def canary(self):
        """What happened to the canary so far."""
        return {name for name in ("imported", "built") if (self._folder / name).exists()}


@pytest.fixture
def lab(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    yield Lab(tmp_path)
    for name in [name for name in sys.modules if name.partition(".")[0] == "canarylab"]:
        del sys.modules[name]


def allow(*_):
    """Allow everything."""
    return True


def test_d06_the_spelling_of_a_path(lab, monkeypatch):
    with pytest.raises(NotAuthorizedError) as caught:
        lab.build("canarylab.evil.Canary")
    assert caught.value.reason == "COMPONENT_NOT_ALLOWED"
    assert lab.canary == set()

    monkeypatch.setattr(importing, "spelling_allowed", allow)
    with pytest.raises(NotAuthorizedError):  # by its identity, but its module has run
        lab.build("canarylab.evil.Canary")
    assert lab.canary == {"imported"}

    monkeypatch.setattr(importing, "identity_allowed", allow)
    assert type(lab.build("canarylab.evil.Canary")).__name__ == "Canary"
    assert lab.canary == {"imported", "built"}


def test_d06_the_identity_of_a_class(lab, monkeypatch):
    """An allowed module that imports something else does not make that allowed."""
    assert type(lab.build("canarylab.good.Good")).__name__ == "Good"
    with pytest.raises(NotAuthorizedError) as caught:
        lab.build("canarylab.good.Canary")
    assert caught.value.reason == "COMPONENT_NOT_ALLOWED"
    assert "built" not in lab.canary

    monkeypatch.setattr(importing, "identity_allowed", allow)
    lab.build("canarylab.good.Canary")
    assert "built" in lab.canary


def test_d06_the_package_of_a_class_where_there_is_no_policy(lab, monkeypatch):
    with pytest.raises(ComponentBuildError, match="not a class of canarylab") as caught:
        lab.build("canarylab.good.JSONDecoder", allowed=None)
    assert caught.value.reason == "COMPONENT_BUILD"

    monkeypatch.setattr(importing, "_check_class", allow)
    built = lab.build("canarylab.good.JSONDecoder", allowed=None)
    assert type(built).__module__ == "json.decoder"
