# SPDX-License-Identifier: Apache-2.0
"""A tree whose clients are assigned: whoever goes, sends or answers where it is not assigned."""

from __future__ import annotations

import asyncio
import secrets
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmar_runner.client.trust import judge_server
from mmar_runner.errors import CertificateError, MmarRunnerError
from mmar_runner.interfaces.observer import Topic
from mmar_runner.security.identity import Role
from mmar_runner.security.kits.kit import load_kit
from mmar_runner.testing.kits import Kits, make_kits
from mmar_runner.testing.processes import RunningClient, RunningCombiner, RunningServer
from mmar_runner.wire.channel import open_channel
from mmar_runner.wire.credentials import TlsFiles, channel_credentials
from mmar_runner.wire.messages import (
    AssignReply,
    AssignRequest,
    AssignStatus,
    GetModelRequest,
    ModelHeader,
    RegisterRequest,
    UpdateBegin,
    UpdateShare,
)
from mmar_runner.wire.stub import DiscoveryStub, FederationStub
from tests.attacks.test_partial_sums import sum_of
from tests.signed_mmars import sign, signer_of

ECHO = Path(__file__).parents[2] / "mmars" / "echo"
VARIABLES = {"NUM_ROUNDS": 2, "MODEL_MB": 0.01, "MIN_NUM_CLIENTS": 2}
SITES = ("site-1", "site-2")

pytestmark = pytest.mark.timeout(120)


@dataclass
class Tree:
    """A root that assigns, and what is needed to start the others."""

    folder: Path
    kits: Kits
    mmar: Path
    root: RunningServer
    stack: ExitStack

    def combiner(self, name: str) -> RunningCombiner:
        combiner = RunningCombiner(
            *(self.mmar, self.root.address(), name, self.folder),
            variables=VARIABLES,
            kit=self.kits.client(name),
        )
        self.stack.enter_context(combiner)
        combiner.wait_for(Topic.REGISTERED)
        return combiner

    def site(self, name: str, *options: str) -> RunningClient:
        return self.stack.enter_context(
            RunningClient(
                *(self.mmar, self.root.address(), name, self.folder / "sites", *options),
                variables=VARIABLES,
                kit=self.kits.client(name),
                asks=True,
            )
        )

    def tls(self, name: str) -> TlsFiles:
        role = Role.COMBINER if name in {"east", "west"} else Role.CLIENT
        kit = load_kit(self.kits.client(name), role, now=datetime.now(UTC))
        return TlsFiles(kit.cert_file, kit.key_file, kit.root_file)

    def ask(self, name: str, *, tls: str = "", **said: Any) -> AssignReply:
        """Ask the root, with the certificate of whoever is named."""
        return asyncio.run(self._ask(AssignRequest(client_name=name, **said), tls or name))

    async def _ask(self, request: AssignRequest, tls: str) -> AssignReply:
        credentials = channel_credentials(self.tls(tls))
        channel = open_channel(self.root.address(), credentials=credentials)
        try:
            return await DiscoveryStub(channel).assign(request, timeout=10)
        finally:
            await channel.close(None)


@pytest.fixture(scope="module")
def kits(tmp_path_factory: pytest.TempPathFactory) -> Kits:
    folder = tmp_path_factory.mktemp("assigned")
    return make_kits(folder, clients=(*SITES, "site-3"), combiners=("east", "west"))


@pytest.fixture
def tree(kits: Kits, tmp_path: Path) -> Iterator[Tree]:
    mmar = Path(shutil.copytree(ECHO, tmp_path / "echo"))
    sign(mmar, signer_of(kits.admin("lead@example.org")))
    root = RunningServer(
        *(mmar, tmp_path / "root", "--assign"),
        variables=VARIABLES,
        kit=kits.server,
        listen="localhost:0",
    )
    with ExitStack() as stack:
        stack.enter_context(root)
        yield Tree(tmp_path, kits, mmar, root, stack)


def finish(tree: Tree, *programs: Any) -> None:
    """See that honest clients finish the run, whatever was tried before."""
    sites = [tree.site(name) for name in SITES]
    assert tree.root.wait(timeout=60) == 0, tree.root.stderr
    assert [one.wait() for one in (*programs, *sites)] == [0] * (len(programs) + len(SITES))


def test_a11_who_asks_is_whom_its_certificate_names(tree: Tree) -> None:
    """For another one, as a combiner, or for another MMAR."""
    east = tree.combiner("east")
    for name, tls, reason in (
        ("site-1", "site-2", "NAME_MISMATCH"),
        ("site-1", "east", "ROLE"),
        ("east", "east", "ROLE"),
        ("../site-1", "site-1", "NAME_INVALID"),
    ):
        with pytest.raises(MmarRunnerError) as refused:
            tree.ask(name, tls=tls)
        assert refused.value.reason == reason
    other = tree.ask("site-1", mmar_digest="0" * 64)
    assert other.status == AssignStatus.ASSIGN_STATUS_UNMATCHED_CONFIG
    assert tree.ask("site-1").combiner == "east"
    assert tree.root.observations(Topic.ASSIGNED, client="site-2") == []
    finish(tree, east)


def test_a11_a_client_does_not_come_to_a_combiner_to_which_it_is_not_assigned(tree: Tree) -> None:
    """It knows the address, has a kit of the project, and says what it likes."""
    east, west = tree.combiner("east"), tree.combiner("west")
    assert tree.ask("site-1", preferred_combiner="east").combiner == "east"
    assert tree.ask("site-2", preferred_combiner="west").combiner == "west"
    for program in (east, west):
        program.address()
    stranger = RunningClient(
        *(tree.mmar, west.address(), "site-1", tree.folder / "strangers"),
        variables=VARIABLES,
        kit=tree.kits.client("site-1"),
    )
    with stranger:
        assert stranger.wait() == 1
    assert "is not assigned to this combiner" in stranger.stderr
    assert "[NOT_ASSIGNED]" in stranger.stderr
    finish(tree, east, west)
    shares = tree.root.summary()["rounds"][-1]["contributions"]
    assert {one["client"] for one in shares} == {"east/site-1", "west/site-2"}


@pytest.mark.parametrize("shown", ["localhost", "west", "site-1"])
def test_a11_a_client_refuses_a_peer_that_is_not_its_combiner(kits: Kits, shown: str) -> None:
    """The root itself, another combiner, and a client in a combiner's place."""
    roles = {"localhost": Role.SERVER, "west": Role.COMBINER, "site-1": Role.CLIENT}
    now = datetime.now(UTC)
    other = load_kit(kits.out / shown, roles[shown], now=now)
    own = load_kit(kits.client("site-2"), Role.CLIENT, now=now)
    with pytest.raises(CertificateError) as refused:
        judge_server(
            *(other.cert_file.read_bytes(), own, own.revocation_memory(), "localhost:1"),
            combiner="east",
        )
    assert refused.value.reason == "ROLE"
    assert shown in refused.value.message
    east = load_kit(kits.client("east"), Role.COMBINER, now=now)
    judge_server(
        *(east.cert_file.read_bytes(), own, own.revocation_memory(), "localhost:1"),
        combiner="east",
    )


def test_e11_a_combiner_sends_for_nobody_but_those_assigned_to_it(tree: Tree) -> None:
    """And never less than its task says; a sum that was counted is counted once."""
    assert asyncio.run(_lies_of_a_combiner(tree)) == [
        ("site-1", "site-9", "NOT_ASSIGNED"),
        ("site-1", "SITES_CHANGED"),
        ("site-1", "site-2", ""),
        ("site-1", "site-2", "duplicate"),
    ]


async def _lies_of_a_combiner(tree: Tree) -> list[tuple[str, ...]]:
    channel = open_channel(tree.root.address(), credentials=channel_credentials(tree.tls("east")))
    stub, found = FederationStub(channel), list[tuple[str, ...]]()
    request = RegisterRequest(
        client_name="east",
        session_key=secrets.token_bytes(32),
        task_name="echo",
        combines=True,
        serves_at="localhost:1",
    )
    try:
        told = await stub.register(request, timeout=10)
        for name in SITES:
            assert (await tree._ask(AssignRequest(client_name=name), name)).combiner == "east"
        call = stub.get_model(GetModelRequest(token=told.token, after_round=-1))
        header = await anext(aiter(call))
        assert isinstance(header, ModelHeader)
        assert (list(header.sites), header.needed) == (list(SITES), 2)
        for sites in (("site-1", "site-9"), ("site-1",), SITES, SITES):
            begin = _sum(told, header, sites)
            submitting = stub.submit_update()
            try:
                await submitting.write(begin)
                receipt: Any = await submitting.read()
                found.append((*sites, "duplicate" if receipt.duplicate else ""))
            except MmarRunnerError as error:
                found.append((*sites, error.reason))
            submitting.cancel()
        call.cancel()
    finally:
        await channel.close(None)
    return found


def _sum(told: Any, header: ModelHeader, sites: tuple[str, ...]) -> UpdateBegin:
    from hashlib import sha256

    data = sum_of(header.inline, float(len(sites)), np.float64)
    return UpdateBegin(
        token=told.token,
        run_number=told.run_number,
        round=header.round,
        base_sha256=header.sha256,
        total_bytes=len(data),
        update_id=sha256(data).hexdigest(),
        num_samples=float(len(sites)),
        kind="weights",
        inline=data,
        sha256=sha256(data).hexdigest(),
        codec="partial",
        parts=[UpdateShare(path=name, weight=1.0, num_samples=1.0) for name in sites],
    )
