# SPDX-License-Identifier: Apache-2.0
"""E01 and E02 from end to end: words of an order are letters, and paths stay below the run.

What the commands themselves refuse has its tests beside them; here a server is asked over TLS,
by somebody whom everything is allowed.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from mmar_runner.errors import MmarRunnerError
from mmar_runner.orders.commands import SHELL
from mmar_runner.testing.offices import Office, office, ordered
from tests.attacks.two_orgs import ALICE, TwoOrgs

SECRET = "nobody may read this"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> TwoOrgs:
    return TwoOrgs(tmp_path_factory.mktemp("shell"))


@pytest.fixture
async def alice(project: TwoOrgs, tmp_path: Path) -> AsyncIterator[Any]:
    kit = project.server_kit(f"shell-{tmp_path.name}")
    allow(kit)
    async with office(kit, tmp_path / "ws") as standing:  # noqa: SIM117
        async with standing.session(project.kits.admin(ALICE)) as session:
            await ordered(session, "set_run_number 1")
            furnish(standing)
            yield session


def allow(kit: Path) -> None:
    path = kit / "site_policy.json"
    policy = json.loads(path.read_bytes())
    policy["admin"] = {"allowed_shell_cmds": sorted(spec.name for spec in SHELL)}
    path.write_text(json.dumps(policy))


def furnish(standing: Office) -> None:
    run = standing.workspace / "run_1"
    (run / "log.txt").write_text("one\ntwo; id\nthree $(id)\n")
    (standing.workspace / "outside.txt").write_text(SECRET)
    (run / "link").symlink_to(standing.workspace / "outside.txt")
    (run / "folder").symlink_to(standing.workspace)
    os.link(standing.workspace / "outside.txt", run / "hard")
    (run / "server.key").write_text(SECRET)


def below(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


async def test_the_control_a_file_of_the_run_is_shown(alice: Any) -> None:
    assert "three" in (await ordered(alice, "cat server log.txt")).text
    shown = (await ordered(alice, ["grep", "server", "; id", "log.txt"])).text
    assert "two; id" in shown
    assert "three" not in shown


@pytest.mark.parametrize(
    "words",
    [
        ["ls", "server", ";", "touch", "CANARY"],
        ["ls", "server", "; touch CANARY"],
        ["ls", "server", "$(touch CANARY)"],
        ["cat", "server", "`touch CANARY`"],
        ["cat", "server", "log.txt\ntouch CANARY"],
        ["cat", "server", "log.txt | tee CANARY"],
        ["cat", "server", "log.txt", ">", "CANARY"],
        ["grep", "server", "-f", "CANARY", "log.txt"],
        ["grep", "server", "--", "-x", "$(touch CANARY)"],
        ["ls", "server", "--hyperlink=CANARY"],
        ["cat", "server", "log.txt\u00a0touch\u2003CANARY"],
        ["cat", "server", "*"],
        ["cat", "server", "~"],
        ["cat", "server", "$HOME"],
        ["env", "server", "touch", "CANARY"],
        ["pwd", "server", "-P"],
    ],
)
async def test_e01_words_are_letters_or_are_refused(
    alice: Any, tmp_path: Path, words: list[str]
) -> None:
    before = below(tmp_path)
    with pytest.raises(MmarRunnerError) as refused:
        await ordered(alice, [word.replace("CANARY", str(tmp_path / "canary")) for word in words])
    assert refused.value.reason != "INTERNAL"
    assert refused.value.message.isprintable()
    assert below(tmp_path) == before


@pytest.mark.parametrize(
    "path",
    [
        "../outside.txt",
        "../../shell-kit/server.key",
        "/etc/passwd",
        "/proc/self/environ",
        "link",
        "folder/outside.txt",
        "hard",
        "server.key",
        "a/../../outside.txt",
        "..\\outside.txt",
        "log.txt/../../outside.txt",
        "\u2025/outside.txt",
    ],
)
@pytest.mark.parametrize("command", ["cat", "head", "tail", "grep"])
async def test_e02_nothing_outside_the_run_is_read(alice: Any, command: str, path: str) -> None:
    words = [command, "server", *(["a"] if command == "grep" else []), path]
    with pytest.raises(MmarRunnerError) as refused:
        await ordered(alice, words)
    assert refused.value.reason in {"PATH", "FILE_MISSING"}
    assert SECRET not in refused.value.message


async def test_e02_what_no_place_has_allowed_is_refused_to_everybody(
    project: TwoOrgs, tmp_path: Path
) -> None:
    kit = project.server_kit("silent")
    async with office(kit, tmp_path / "ws") as standing:  # noqa: SIM117
        async with standing.session(project.kits.admin(ALICE)) as session:
            await ordered(session, "set_run_number 1")
            for spec in SHELL:
                words = [spec.name, "server", *(["x", "y"] if spec.name == "grep" else [])]
                with pytest.raises(MmarRunnerError) as refused:
                    await ordered(session, words)
                assert refused.value.reason == "SHELL_REFUSED"
