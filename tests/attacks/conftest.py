# SPDX-License-Identifier: Apache-2.0
"""A real server, over mutual TLS, that is attacked and must then finish unharmed.

Every arena ends with its positive control: two honest clients join, finish the run, and
the models must be those of a run that nobody attacked. Memory, descriptors, logs, journal
and the audit log are looked at too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from mmar_runner.testing.processes import RunningServer
from tests.attacks import arena as arenas
from tests.attacks import attacker as attackers
from tests.attacks import evidence as evidences
from tests.attacks import forging
from tests.attacks import meter as meters

QUICK = ("--durability", "process")


#: Clients at once: one of each site, and a few instances, so that these can reach the bound.
MOST_CLIENTS = len(forging.SITES) + 6


@pytest.fixture(scope="session")
def forge() -> Any:
    """The module that forges."""
    return forging


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A provisioned project; whoever revokes takes a server's kit of its own."""
    return forging.Project(tmp_path_factory.mktemp("attacked"))


@pytest.fixture(scope="session")
def mmar(project: Any) -> Path:
    """The signed MMAR that is run."""
    return Path(project.mmar())


@pytest.fixture(scope="session")
def restless_mmar(project: Any) -> Path:
    """The same with leases of three seconds, so that a heartbeat is one second."""
    return Path(project.mmar(lease=3, name="restless"))


@pytest.fixture(scope="session")
def arena_of(project: Any) -> Callable[..., Any]:
    """Make an arena around a server, for tests that end it themselves."""

    def make(server: Any, mmar: Path, variables: dict[str, Any], *, plain: bool = False) -> Any:
        return arenas.Arena(
            server,
            mmar,
            variables,
            None if plain else project,
            attacker=attackers.Attacker,
            dial=attackers.dial,
            evidence=evidences.Evidence(server.workspace),
            meter=meters.Meter,
            evil=forging.EVIL,
        )

    return make


@contextmanager
def attacked(
    make: Callable[..., Any],
    folder: Path,
    mmar: Path,
    kit: Path | None,
    model_mb: float = 0.01,
    warm: bool = True,
) -> Iterator[Any]:
    """Yield an arena; at its end its models must be those of a calm run."""
    variables = {
        "NUM_ROUNDS": 2,
        "MIN_NUM_CLIENTS": 2,
        "MAX_NUM_CLIENTS": MOST_CLIENTS,
        "MODEL_MB": model_mb,
    }
    plain = kit is None
    calm = calm_hashes(make, folder, mmar, kit, variables)
    with RunningServer(mmar, folder / "ws", *QUICK, variables=variables, kit=kit) as server:
        arena = make(server, mmar, variables, plain=plain)
        if warm:  # what a server needs to take one update is not an attack's doing
            arena.refusal(lambda a: a.submit(a.model, sha="0" * 64))
            arena.measure()
        yield arena
        arena.finish(folder / "clients")
    assert arena.hashes() == calm


#: The models of runs that nobody attacked, by what was run: the same seed gives the same ones.
_CALM: dict[tuple[Any, ...], list[str]] = {}


def calm_hashes(
    make: Callable[..., Any], folder: Path, mmar: Path, kit: Path | None, variables: dict[str, Any]
) -> list[str]:
    """Return the models of a run that nobody attacks; it is run once a session."""
    key = (mmar, kit, *sorted(variables.items()))
    if key not in _CALM:
        options = {"variables": variables, "kit": kit}
        with RunningServer(mmar, folder / "calm", *QUICK, **options) as server:
            calm = make(server, mmar, variables, plain=kit is None)
            calm.finish(folder / "calm-clients")
        _CALM[key] = calm.hashes()
    return _CALM[key]


@pytest.fixture(scope="session")
def attacked_server(
    tmp_path_factory: pytest.TempPathFactory, arena_of: Callable[..., Any], project: Any
) -> Callable[..., AbstractContextManager[Any]]:
    """Make an arena of another kind, to be held open by a module that needs one."""

    def make(
        name: str, mmar: Path, *, kit: Path | None = None, model_mb: float = 0.01
    ) -> AbstractContextManager[Any]:
        folder = tmp_path_factory.mktemp(name)
        return attacked(arena_of, folder, mmar, kit or project.kits.server, model_mb)

    return make


@pytest.fixture(scope="module")
def large(attacked_server: Any, mmar: Path) -> Iterator[Any]:
    """An arena whose model of 5 MB travels in chunks."""
    with attacked_server("large", mmar, model_mb=5) as arena:
        yield arena


@pytest.fixture(scope="module")
def small(attacked_server: Any, mmar: Path) -> Iterator[Any]:
    """An arena whose model travels inside one message."""
    with attacked_server("small", mmar) as arena:
        yield arena


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, arena_of: Any) -> Iterator[Any]:
    """An arena on loopback without certificates, where names are believed."""
    with attacked(arena_of, tmp_path_factory.mktemp("plain"), forging.ECHO, None) as arena:
        yield arena
