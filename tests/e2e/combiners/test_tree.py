# SPDX-License-Identifier: Apache-2.0
"""A tree of combiners makes the models of the flat federation."""

from __future__ import annotations

from hashlib import sha256

import pytest

from tests.e2e.combiners.conftest import SAMPLES, Tree, models

#: Seven processes are started for one test.
pytestmark = pytest.mark.timeout(240)
_SECONDS = 100.0


def test_two_combiners_make_the_models_of_the_flat_federation(
    tree: Tree, flat_models: list[str]
) -> None:
    root = tree.server(2)
    first, second = (tree.combiner(name, root, 2) for name in ("east", "west"))
    clients = [
        tree.client(name, place)
        for name, place in zip(SAMPLES, (first, first, second, second), strict=True)
    ]

    assert root.wait(timeout=_SECONDS) == 0, root.stderr
    assert [one.wait() for one in (first, second, *clients)] == [0] * 6
    assert models(root) == flat_models
    final = (root.workspace / "run_1" / "models" / "final.safetensors").read_bytes()
    assert sha256(final).hexdigest() == flat_models[-1]
