# SPDX-License-Identifier: Apache-2.0
"""A federation of real processes, flat or as a tree of combiners."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest

from mmar_runner.testing.processes import RunningClient, RunningCombiner, RunningServer

ECHO: Final = Path(__file__).parents[3] / "mmars" / "echo"
#: Samples of each site: weights that no sum of few bits holds alike in any order.
SAMPLES: Final = {"site-1": 3, "site-2": 10, "site-3": 7, "site-4": 113}
ROUNDS: Final = 3


class Tree:
    """A server, combiners and clients of the sample `echo`, which draw noise by their names."""

    def __init__(self, folder: Path, **variables: Any) -> None:
        self.folder = folder
        self.mmar = ECHO
        self.variables = {"NUM_ROUNDS": ROUNDS, "MODEL_MB": 0.3, "NOISE": 0.5, **variables}
        self.stack = ExitStack()

    def server(self, minimum: int, *options: str, **more: Any) -> RunningServer:
        """Start the root."""
        variables = {**self.variables, "MIN_NUM_CLIENTS": minimum}
        return self.stack.enter_context(
            RunningServer(self.mmar, self.folder / "root", *options, variables=variables, **more)
        )

    def combiner(
        self, name: str, parent: RunningServer, minimum: int, *options: str, **more: Any
    ) -> RunningCombiner:
        """Start a combiner."""
        options = ("--min-clients", str(minimum), *options)
        address, place = parent.address(), self.folder
        combiner = RunningCombiner(
            self.mmar, address, name, place, *options, variables=self.variables, **more
        )
        return self.stack.enter_context(combiner)

    def client(
        self, name: str, server: RunningServer, *options: str, asks: bool = False, **more: Any
    ) -> RunningClient:
        """Start a site; one that asks is told by the server which combiner it works below."""
        own = {"SITE_INDEX": name[-1], "NUM_SAMPLES": SAMPLES[name]}
        place = self.folder / "sites"
        variables: Mapping[str, Any] = {**self.variables, **own, **more}
        client = RunningClient(
            *(self.mmar, server.address(), name, place, *options), variables=variables, asks=asks
        )
        return self.stack.enter_context(client)


@pytest.fixture
def tree(tmp_path: Path) -> Any:
    """A tree of which nothing runs yet."""
    made = Tree(tmp_path)
    with made.stack:
        yield made


@pytest.fixture(scope="session")
def flat_models(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The sha256 of every round's model where all sites come to the server itself."""
    flat = Tree(tmp_path_factory.mktemp("flat"))
    with flat.stack:
        server = flat.server(len(SAMPLES))
        for name in SAMPLES:
            flat.client(name, server)
        assert server.wait(timeout=100) == 0, server.stderr
        return models(server)


def models(server: RunningServer) -> list[str]:
    """Return the sha256 of every round's model."""
    return [entry["model_sha256"] for entry in server.summary()["rounds"]]
