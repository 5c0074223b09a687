# SPDX-License-Identifier: Apache-2.0
"""Servers and clients that are started as processes."""

from __future__ import annotations

import pytest

from mmar_runner.testing.processes import RunningClient, RunningServer


@pytest.fixture
def start(stack, tmp_path):
    """Start servers and clients that end with the test."""

    class Start:
        folder = tmp_path

        def server(self, mmar, *options, **kwargs):
            return stack.enter_context(RunningServer(mmar, tmp_path / "server", *options, **kwargs))

        def client(self, mmar, server, name, *options, where="clients", **kwargs):
            target = server if isinstance(server, str) else server.address()
            return stack.enter_context(
                RunningClient(mmar, target, name, tmp_path / where, *options, **kwargs)
            )

    return Start()
