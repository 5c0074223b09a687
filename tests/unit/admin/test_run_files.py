# SPDX-License-Identifier: Apache-2.0
"""What of a run is given away: paths are confined, links followed nowhere, secrets kept."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mmar_runner.admin.files.run_files import opened, run_path
from mmar_runner.errors import NotAuthorizedError


@pytest.mark.parametrize(
    "text",
    [
        "run_1/summary.json",
        "run_12/models/",
        "run_1",
        "run_1/mmar/config/updates.json",
        "run_1/mmar/updates/x.txt",
    ],
)
def test_a_path_below_a_run_is_one(text: str) -> None:
    assert str(run_path(text)) == text.rstrip("/")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        ".",
        "..",
        "run_0/x",
        "run_01/x",
        "run_x",
        "run_1/..",
        "run_1/../run_2/x",
        "run_1//x",
        "/run_1/x",
        "./run_1/x",
        "run_1\\x",
        "run_1/a\\b",
        "run_1/a\x00",
        "run_1/a\n",
        "audit.jsonl",
        "token.key",
        "transfer/study",
        "run_1/" + "a/" * 30 + "b",
        "run_1/journal.db",
        "run_1/JOURNAL.DB-wal",
        "run_1/audit.jsonl",
        "run_1/updates",
        "run_1/updates/site-1.safetensors",
        "run_1/mmar/token.key",
        "run_1/client.pem",
        "run_1/models/.x.tmp",
    ],
)
def test_everything_else_is_refused(text: str) -> None:
    with pytest.raises(NotAuthorizedError) as caught:
        run_path(text)
    assert caught.value.reason == "PATH"


def test_what_is_opened_is_the_file(tmp_path: Path) -> None:
    (tmp_path / "run_1" / "models").mkdir(parents=True)
    (tmp_path / "run_1" / "models" / "a").write_bytes(b"model")
    with opened(tmp_path, run_path("run_1/models/a")) as descriptor:
        assert os.read(descriptor, 10) == b"model"
    with opened(tmp_path, run_path("run_1/models")) as descriptor:
        assert [entry.name for entry in os.scandir(descriptor)] == ["a"]


def test_links_and_what_is_no_file_are_refused(tmp_path: Path) -> None:
    secret, run = tmp_path / "secret", tmp_path / "ws" / "run_1"
    secret.mkdir()
    (secret / "s").write_text("secret")
    run.mkdir(parents=True)
    (run / "file").symlink_to(secret / "s")
    (run / "folder").symlink_to(secret)
    (tmp_path / "ws" / "run_2").symlink_to(secret)
    os.mkfifo(run / "pipe")
    paths = ("run_1/file", "run_1/folder", "run_1/folder/s", "run_2/s", "run_1/pipe", "run_1/none")
    for text in paths:
        with (
            pytest.raises(NotAuthorizedError) as caught,
            opened(tmp_path / "ws", run_path(text)),
        ):
            pass
        assert caught.value.reason == "PATH", text
