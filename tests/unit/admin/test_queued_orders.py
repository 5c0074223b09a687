# SPDX-License-Identifier: Apache-2.0
"""What is asked again when a run's turn comes, and what an upload that was looked at leaves."""

from __future__ import annotations

import base64
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mmar_runner.admin.entrance.access import Access
from mmar_runner.admin.runs.federation_state import QueuedRun
from mmar_runner.admin.runs.run_queue import RunQueue
from mmar_runner.admin.runs.taking_in import Intake
from mmar_runner.errors import MmarRunnerError, TrustError
from mmar_runner.hooks import load_plugins
from mmar_runner.orders.order import new_order, signed
from mmar_runner.security.identity import Role
from mmar_runner.security.kits.kit import StartupKit, load_kit
from mmar_runner.security.packages.mmar_store import MmarStore
from mmar_runner.security.pki.followed import Revocations
from mmar_runner.security.pki.keys import load_release_key
from mmar_runner.testing.kits import Kits, make_kits
from tests.signed_mmars import sign, signer_of

ECHO = Path(__file__).parents[3] / "mmars" / "echo"
LEAD, ANN = "lead@a.org", "ann@a.org"
DIGEST = "d" * 64


@pytest.fixture(scope="module")
def kits(tmp_path_factory: pytest.TempPathFactory) -> Kits:
    folder = tmp_path_factory.mktemp("kits")
    return make_kits(folder, clients=("site-1", "site-2"), admins=(LEAD, ANN))


@pytest.fixture
def server(kits: Kits) -> StartupKit:
    return load_kit(kits.server, Role.SERVER, now=datetime.now(UTC))


def order(kits: Kits, user: str, *, age: timedelta = timedelta(), signer: str = "") -> str:
    key_file = kits.admin(signer or user) / "release.key"
    words, life = ("enqueue", "echo", "client", "site-1"), timedelta(days=30)
    now = datetime.now(UTC) - age
    said = new_order("demo", user, words, now=now, life=life)
    return base64.b64encode(signed(said, load_release_key(key_file))).decode()


def judge(server: StartupKit, text: str, digest: str | None = DIGEST) -> None:
    revocations = Revocations(server.revocations, server.revocation_memory())
    transfers: Any = SimpleNamespace(digest_of=lambda _: digest)
    desk: Any = None
    queue = RunQueue(desk, transfers, Access(server), server, revocations)
    at = "2026-01-01T00:00:00Z"
    queue._judge(QueuedRun("echo", DIGEST, LEAD, "a.org", ["site-1"], text, at))


def test_an_order_of_weeks_ago_still_holds(kits: Kits, server: StartupKit) -> None:
    judge(server, order(kits, LEAD, age=timedelta(days=29)))


@pytest.mark.parametrize(
    ("reason", "given"),
    [
        ("ORDER_EXPIRED", {"user": LEAD, "age": timedelta(days=31)}),
        ("SIGNER_NOT_TRUSTED", {"user": LEAD, "signer": ANN}),
    ],
)
def test_an_order_that_does_not_hold_is_refused(
    kits: Kits, server: StartupKit, reason: str, given: Any
) -> None:
    with pytest.raises(MmarRunnerError) as caught:
        judge(server, order(kits, **given))
    assert caught.value.reason == reason


def test_a_right_that_was_taken_away_is_missed(
    kits: Kits, server: StartupKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = order(kits, LEAD)
    judge(server, text)
    without = replace(Access(server).authorization, users={})
    monkeypatch.setattr(Access, "authorization", without)
    with pytest.raises(MmarRunnerError) as caught:
        judge(server, text)
    assert caught.value.reason == "USER_UNKNOWN"


@pytest.mark.parametrize("digest", ["e" * 64, None])
def test_another_mmar_is_refused(kits: Kits, server: StartupKit, digest: str | None) -> None:
    with pytest.raises(MmarRunnerError) as caught:
        judge(server, order(kits, LEAD), digest)
    assert caught.value.reason == "MMAR_CHANGED"


def test_a_newer_upload_does_not_end_a_run_of_an_older_version(
    kits: Kits, server: StartupKit, tmp_path: Path
) -> None:
    log: Any = SimpleNamespace(record=lambda *_, **__: None)
    plugins, store = load_plugins(), MmarStore(tmp_path / "store")
    looking = Intake(server, plugins.registry, MmarStore(tmp_path / "looking"), log, {})
    running = Intake(server, plugins.registry, store, log, {})
    older = sign(shutil.copytree(ECHO, tmp_path / "1" / "echo"), signer_of(kits.admin(LEAD)))
    newer = shutil.copytree(ECHO, tmp_path / "2" / "echo")
    (newer / "docs" / "Readme.md").write_text("newer")
    sign(newer, signer_of(kits.admin(LEAD)), version=2)
    running.take(older)
    assert looking.look_only(newer).manifest is not None
    running.take(older)  # as whoever goes on with it after the server was killed
    assert not (tmp_path / "looking").exists()  # nothing was copied
    running.take(newer)
    with pytest.raises(TrustError):
        looking.look_only(older)
