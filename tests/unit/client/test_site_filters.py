# SPDX-License-Identifier: Apache-2.0
"""The site's own filters: last in both directions, whatever an MMAR declares."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from safetensors.numpy import load, save

from mmar_runner.children.process import ChildProcess
from mmar_runner.client.session import run_session
from mmar_runner.client.tasks.component_specs import (
    filter_spec,
    site_filter_spec,
    trainer_spec,
    validator_spec,
)
from mmar_runner.errors import ComponentNotFoundError
from mmar_runner.interfaces.catalog import ComponentKind
from mmar_runner.interfaces.client_trainer import TrainResult
from mmar_runner.mmar.spec import ComponentSpec
from mmar_runner.security.policy.site_policy import SitePolicy
from tests.distributions import SITE_FILTERS, install_site_filters
from tests.served import served

BLANK = {"name": "Blank", "args": {"tensor": "private"}}
INCREMENT = {"name": "Increment", "args": {}}
SECRET = np.frombuffer(b"what no server may ever see, ever" * 4000, dtype=np.uint8)


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Install the filters for children, as a distribution."""
    install_site_filters(tmp_path / "site-packages")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site-packages"))
    monkeypatch.delenv("MMAR_RUNNER_PLUGINS", raising=False)


class SecretTrainers:
    """Trainers whose update holds what must not leave; they remember what they saw."""

    def __init__(self):
        self.waited = 0.0
        self.seen = []

    def trainer(self, spec, *, log, timeout):
        return self

    def prepare(self):
        pass

    async def train(self, task):
        self.seen.append(load(task.model.read_bytes()))
        shared = np.full(3, 5, dtype=np.uint8)
        task.update.write_bytes(save({"private": SECRET, "shared": shared}))
        return TrainResult(1)

    async def close(self):
        pass


@asynccontextmanager
async def recorded(target):
    """Stand between client and server on loopback and keep what the client sends."""
    sent = bytearray()
    handlers, writers = set(), set()

    async def pump(reader, writer, kept):
        with suppress(OSError):
            while data := await reader.read(1 << 16):
                kept += data
                writer.write(data)
                await writer.drain()
        writer.close()

    async def connected(reader, writer):
        handlers.add(asyncio.current_task())
        host, port = target.rsplit(":", 1)
        behind_reader, behind_writer = await asyncio.open_connection(host, int(port))
        writers.update({writer, behind_writer})
        async with asyncio.TaskGroup() as both:
            both.create_task(pump(reader, behind_writer, sent))
            both.create_task(pump(behind_reader, writer, bytearray()))

    proxy = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{proxy.sockets[0].getsockname()[1]}", sent
    finally:
        proxy.close()
        for handler in handlers:
            handler.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)
        for writer in writers:
            writer.close()
        with suppress(OSError):
            await asyncio.gather(*(writer.wait_closed() for writer in writers))


def declared(declaration):
    return ComponentSpec(
        kind=ComponentKind.FILTER,
        declaration=declaration,
        name=declaration["name"],
        args=declaration["args"],
        file="config/config_fed_client.json",
        pointer="/outbound_filters/0",
    )


@pytest.fixture
def run(server, settings, plugins, recorder, installed):
    """Run one round with an MMAR's filters and the site's; return what went over the wire."""

    async def once(own, site, *, inbound=(), trainers=None):
        client = replace(
            settings.spec.client,
            outbound_filters=tuple(map(declared, own)),
            inbound_filters=tuple(map(declared, inbound)),
        )
        model = {"private": SECRET * 0 + 3, "shared": np.full(3, 7, dtype=np.uint8)}
        server.models = [(0, save(model))]
        async with served(server) as address, recorded(address) as (proxy, sent):
            changed = replace(settings, spec=replace(settings.spec, client=client), target=proxy)
            changed = changed.under(SitePolicy(mandatory_filters=site))
            trained = trainers or SecretTrainers()
            await run_session(changed, plugins, recorder, asyncio.Event(), children=trained)
        return bytes(sent)

    return once


@pytest.mark.parametrize(
    "own",
    [(), (BLANK,), (INCREMENT,), (BLANK, INCREMENT), (INCREMENT, BLANK)],
    ids=["none", "the-same", "another", "undone-afterwards", "other-order"],
)
async def test_the_sites_filter_runs_last_whatever_the_mmar_declares(server, run, own):
    sent = await run(own, {"outbound": (BLANK,)})
    update = load(server.updates[0])
    assert not update["private"].any()
    added = sum(one is INCREMENT for one in own)
    assert update["shared"].tolist() == [5 + added] * 3
    assert bytes(SECRET[:33]) not in sent
    assert bytes(SECRET[:33] + np.uint8(1)) not in sent
    assert server.updates[0][-64:] in sent  # the recorder does see what leaves


async def test_without_the_sites_filter_the_same_tensor_does_leave(server, run):
    sent = await run((), {})
    assert bytes(SECRET[:33]) in sent
    assert (load(server.updates[0])["private"] == SECRET).all()


async def test_the_sites_inbound_filter_runs_last_too(run):
    trainers = SecretTrainers()
    await run((), {"inbound": (BLANK,)}, inbound=(INCREMENT,), trainers=trainers)
    (seen,) = trainers.seen
    assert not seen["private"].any()
    assert seen["shared"].tolist() == [8, 8, 8]


async def test_nothing_leaves_if_the_sites_filter_fails(server, run):
    sent = await run((), {"outbound": ({"name": "Blank", "args": {"tensor": 3, "more": 1}},)})
    assert server.updates == {}
    assert [failure.round for failure in server.failures] == [0]
    assert bytes(SECRET[:33]) not in sent


async def test_a_filter_that_is_not_installed_ends_the_session_before_anybody_is_called(
    settings, recorder
):
    from mmar_runner.hooks import load_plugins

    named = replace(settings, site_filters={"outbound": ({"name": "NobodyHasIt", "args": {}},)})
    trainer = replace(named.client.client_trainer, declaration={"name": "EchoTrainer", "args": {}})
    spec = replace(named.spec, client=replace(named.client, client_trainer=trainer))
    with pytest.raises(ComponentNotFoundError):
        await run_session(replace(named, spec=spec), load_plugins(), recorder, asyncio.Event())


async def test_a_filter_of_the_plugins_folder_ends_the_session_before_anybody_is_called(
    settings, recorder, tmp_path
):
    from mmar_runner.hooks import load_plugins

    (tmp_path / "blank.py").write_text(SITE_FILTERS.read_text())
    named = replace(settings, site_filters={"outbound": (BLANK,)})
    trainer = replace(named.client.client_trainer, declaration={"name": "EchoTrainer", "args": {}})
    spec = replace(named.spec, client=replace(named.client, client_trainer=trainer))
    plugins = load_plugins(plugins_dir=tmp_path)
    with pytest.raises(ComponentNotFoundError):
        await run_session(replace(named, spec=spec), plugins, recorder, asyncio.Event())


def test_the_child_gets_no_code_no_folder_of_the_mmar_and_no_further_plugins(settings):
    generous = replace(settings, allow_byoc=True, plugins_dir=Path("/plugins"))
    spec = site_filter_spec(generous, (BLANK,)).to_json()
    assert spec["custom_dir"] is None
    assert spec["plugins_dir"] is None
    assert str(settings.spec.root) not in str(spec)


def test_an_update_that_other_filters_made_is_another_piece_of_work(settings):
    filtered = replace(settings, site_filters={"outbound": (BLANK,)})
    assert settings.work_digest == settings.spec.digest
    assert filtered.work_digest not in {
        settings.work_digest,
        replace(settings, site_filters={"inbound": (BLANK,)}).work_digest,
    }


def test_a_policy_narrows_limits_and_never_widens_them(settings):
    wide = {"memory_bytes": 1 << 40, "task_seconds": 3600.0, "threads": 64}
    narrow = {"memory_bytes": 1 << 30, "task_seconds": 5.0, "threads": 2}
    given = replace(settings, memory_limit_bytes=1 << 32, task_timeout=60.0, threads=4)
    for limits, expected in [(wide, (1 << 32, 60.0, 4)), (narrow, (1 << 30, 5.0, 2))]:
        under = given.under(SitePolicy(trainer=limits))
        assert (under.memory_limit_bytes, under.task_timeout, under.threads) == expected
    assert settings.under(SitePolicy(trainer=narrow)).memory_limit_bytes == 1 << 30


def test_the_trainers_child_alone_is_told_that_expressions_may_run(settings, tmp_path):
    files = Mock(trainer=tmp_path)
    validator = settings.client.client_trainer
    for policy, expected in [
        (SitePolicy(), False),
        (SitePolicy(expressions="digest"), False),
        (SitePolicy(expressions="digest", accepted_digests=(settings.spec.digest,)), True),
        (SitePolicy(expressions="allow"), True),
    ]:
        under = settings.under(policy)
        assert trainer_spec(under, files).context.expressions is expected
        assert not validator_spec(under, files, validator).context.expressions
        assert not filter_spec(under, files, ()).context.expressions


async def test_a_child_knows_neither_the_kits_path_nor_a_token(
    settings, tmp_path, installed, monkeypatch
):
    monkeypatch.setenv("MMAR_RUNNER_TOKEN", "token-of-the-session")
    monkeypatch.setenv("KIT", "/srv/kits/site-1")
    log = tmp_path / "child.log"
    child = await ChildProcess.start(site_filter_spec(settings, (BLANK,)), log=log, timeout=30)
    try:
        proc = Path(f"/proc/{child.pid}")
        told = (proc / "environ").read_bytes() + (proc / "cmdline").read_bytes()
        assert b"PYTHONHASHSEED" in told  # it is the child's environment that was read
        assert b"token-of-the-session" not in told
        assert b"/srv/kits" not in told
        links = {str(link.readlink()) for link in (proc / "fd").iterdir()}
        assert not any("audit" in name or name.endswith(".key") for name in links)
    finally:
        await child.close()
