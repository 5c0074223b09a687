# SPDX-License-Identifier: Apache-2.0
"""Who declines what is deployed is known for as long as it does, however often it says so."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from mmar_runner.interfaces.observer import Topic
from mmar_runner.security.audit.log import AuditLog
from mmar_runner.security.decision import Decision
from mmar_runner.security.identity import Identity, PeerCertificate, Role
from mmar_runner.server.calls.packages import Deployment, PackageDesk
from mmar_runner.server.calls.windows import download_window
from mmar_runner.testing.recorder import Recorder
from mmar_runner.wire.gate import Peer
from mmar_runner.wire.messages import DeclineRequest, GetPackageRequest

NOW = datetime(2030, 1, 1, tzinfo=UTC)
SITE = Peer(
    "ipv4:127.0.0.1:1",
    PeerCertificate(Identity("demo", Role.CLIENT, "site-1"), "f" * 64, "1", NOW, NOW),
)
DIGEST = "0" * 64


class Told:
    """What was said of those who decline: the sentence, and whether aloud."""

    def __init__(self) -> None:
        self.said: list[tuple[str, bool]] = []

    def __call__(self, sentence: str, *, aloud: bool) -> None:
        self.said.append((sentence, aloud))


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    (tmp_path / "job").mkdir()
    yes = {"site-1": Decision("deploy", "site-1", (), DIGEST, ())}
    return Deployment(tmp_path / "job", DIGEST, tmp_path / "job.zip", yes)


async def test_a_site_that_declines_for_the_sixth_time_still_declines(
    deployment: Deployment, tmp_path: Path
) -> None:
    told, seen = Told(), Recorder()
    with AuditLog(tmp_path / "audit.jsonl") as audit:
        desk = PackageDesk(deployment, seen, audit, told, window=download_window())
        for _ in range(8):
            async for _item in desk.get_package(GetPackageRequest(), SITE):
                pass
            await desk.decline(DeclineRequest(digest=DIGEST, reason="BYOC"), SITE)
            assert told.said[-1][0] == "declined by site-1 [BYOC]"
        await desk.close()
    assert len(seen.all(Topic.SITE_DECLINED)) == 5
    assert sum(aloud for _, aloud in told.said) <= 10  # the others are known, and not shown
