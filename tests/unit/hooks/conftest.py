# SPDX-License-Identifier: Apache-2.0
"""Distributions that are really on disk, with metadata and modules, but for one test."""

import textwrap
from itertools import count

import pytest

from mmar_runner.hooks import load_plugins
from tests.distributions import install

_UNIQUE = count()


class Site:
    """A folder on ``sys.path`` to which distributions are added."""

    def __init__(self, folder):
        self.folder = folder
        self.folder.mkdir()
        self.distributions = []

    def install(self, distribution, source, *, entry=None, version="1.0"):
        """Install a distribution with one plugin; return its module's name."""
        module = f"{distribution.replace('-', '_')}_{next(_UNIQUE)}"
        entry = entry or distribution
        source = textwrap.dedent(source)
        install(self.folder, module, source, name=distribution, entry=entry, version=version)
        self.distributions.append(distribution)
        return module

    def load(self, **options):
        """Load what was installed here and nothing else."""
        options.setdefault("allow", self.distributions)
        return load_plugins(**options)


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.delenv("MMAR_RUNNER_PLUGINS", raising=False)
    made = Site(tmp_path / "site-packages")
    monkeypatch.syspath_prepend(str(made.folder))
    return made


@pytest.fixture
def registering():
    """The source of a plugin that registers an aggregator by name."""

    def source(name, **extra):
        arguments = ", ".join(f"{k}={v!r}" for k, v in extra.items())
        return f"""
            from mmar_runner.hooks import hookimpl

            class Thing:
                pass

            @hookimpl
            def mmar_register_components(registry):
                registry.add(kind="aggregator", name={name!r}, target=":Thing", {arguments})
        """

    return source
