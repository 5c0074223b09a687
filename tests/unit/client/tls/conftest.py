# SPDX-License-Identifier: Apache-2.0
"""A server and a session that speak TLS, both certified by one authority."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from mmar_runner.client.session import run_session
from mmar_runner.security.identity import Role
from mmar_runner.wire.credentials import server_credentials
from tests.served import served
from tests.unit.client.tls.authorities import Authority, CertificateReader


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / "ours")


@pytest.fixture
def client_files(authority):
    return authority.files(Role.CLIENT, "site-1")


@pytest.fixture
def gate():
    return CertificateReader()


@pytest.fixture
def serving_tls(server, authority, gate):
    def serve(files=None):
        files = files or authority.files(Role.SERVER, "localhost")
        return served(server, gate, at="localhost:0", credentials=server_credentials(files))

    return serve


@pytest.fixture
def session(settings, plugins, recorder, trainers, client_files):
    async def run(address, **changes):
        changes = {"tls": client_files, "connect_timeout": 30, **changes}
        changed = replace(settings, target=address, **changes)
        return await run_session(changed, plugins, recorder, asyncio.Event(), children=trainers)

    return run
