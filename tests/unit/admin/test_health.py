# SPDX-License-Identifier: Apache-2.0
"""A standing server says whether administrators and clients can work, at both of its ports."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from mmar_runner.client.health import HealthQuestion, ask_health
from mmar_runner.errors import UnreachableError
from mmar_runner.security.identity import Role
from mmar_runner.security.kits.kit import StartupKit, load_kit
from mmar_runner.testing.offices import office, ordered
from mmar_runner.wire.channel import open_channel
from mmar_runner.wire.credentials import TlsFiles, channel_credentials
from mmar_runner.wire.methods import ADMIN, FEDERATED_TRAINING
from tests.attacks.two_orgs import ALICE, TwoOrgs, put_upload

VARIABLES = {"NUM_ROUNDS": 2, "MIN_NUM_CLIENTS": 1, "MODEL_MB": 0.01}


@pytest.fixture
def kit(two_orgs: TwoOrgs, tmp_path: Path) -> StartupKit:
    folder = two_orgs.server_kit(f"health-{tmp_path.name}")
    return load_kit(folder, Role.SERVER, now=datetime.now(UTC))


def channel_of(kit: StartupKit, target: str) -> grpc.aio.Channel:
    files = TlsFiles(kit.cert_file, kit.key_file, kit.root_file)
    return open_channel(target, credentials=channel_credentials(files))


async def heard(call: Any) -> Any:
    return HealthCheckResponse.ServingStatus.Name((await call.read()).status)


async def test_clients_can_work_while_a_run_is_open(
    two_orgs: TwoOrgs, kit: StartupKit, tmp_path: Path
) -> None:
    put_upload(tmp_path / "ws", two_orgs.mmar(tmp_path, "study"), owner=ALICE)
    async with office(kit.folder, tmp_path / "ws", variables=VARIABLES) as standing:
        for target in (standing.listen, standing.admin):
            asked = {
                service: await ask_health(HealthQuestion(target, service, kit))
                for service in ("", ADMIN, FEDERATED_TRAINING)
            }
            assert list(asked.values()) == ["SERVING", "SERVING", "NOT_SERVING"]
        async with (
            channel_of(kit, standing.listen) as channel,
            standing.session(two_orgs.kits.admin(ALICE)) as lead,
        ):
            stub = health_pb2_grpc.HealthStub(channel)
            runs = stub.Watch(HealthCheckRequest(service=FEDERATED_TRAINING))
            itself = stub.Watch(HealthCheckRequest())
            assert [await heard(runs), await heard(itself)] == ["NOT_SERVING", "SERVING"]
            for order in ("set_run_number 1", "deploy study server", "start server"):
                await ordered(lead, order)
            assert await heard(runs) == "SERVING"
            await ordered(lead, "abort server")
            assert await heard(runs) == "NOT_SERVING"
            standing.stop.set()
            assert await heard(itself) == "NOT_SERVING"
            assert await itself.read() is grpc.aio.EOF
            assert await runs.read() is grpc.aio.EOF
    with pytest.raises(UnreachableError):
        await ask_health(HealthQuestion(standing.listen, "", kit))
