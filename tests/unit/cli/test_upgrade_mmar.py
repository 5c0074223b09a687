# SPDX-License-Identifier: Apache-2.0
"""What ``upgrade-mmar`` says, and with which exit code it ends."""

import shutil
from pathlib import Path

import pytest

from mmar_runner.cli.main import main

ROOT = Path(__file__).parents[3]
KEY = "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\n"


@pytest.fixture
def call(capsys, tmp_path):
    def run(mmar, *options):
        with pytest.raises(SystemExit) as ended:
            main(["upgrade-mmar", str(mmar), "--out", str(tmp_path / "new"), *options])
        told = capsys.readouterr()
        return ended.value.code, told.out, told.err

    return run


@pytest.fixture
def echo(tmp_path):
    return Path(shutil.copytree(ROOT / "mmars" / "echo", tmp_path / "echo"))


def test_an_archive_of_today_is_copied(call, echo, tmp_path):
    code, out, _ = call(echo)

    assert code == 0
    assert out.splitlines() == [
        f"{echo} (clara-4) is written anew as {tmp_path / 'new'}",
        "  nothing had to change",
    ]


def test_what_is_left_out_is_said(call, echo, tmp_path):
    (echo / "resources").mkdir(exist_ok=True)
    (echo / "resources" / "server.key").write_text(KEY)
    (echo / "models").mkdir()
    (echo / "models" / "model.pt").write_bytes(b"0")

    code, out, _ = call(echo, "--without-models")

    assert code == 0
    assert "  left out: models/model.pt: models were not asked for" in out.splitlines()
    assert "  left out: resources/server.key: it holds a private key" in out.splitlines()
    assert not (tmp_path / "new" / "models").exists()


def test_what_is_not_looked_at_is_said_and_not_copied(call, echo, tmp_path):
    (echo / "config" / "out.json").symlink_to("/etc/hostname")

    _, out, _ = call(echo)

    said = "  left out: config/out.json: The symbolic link leaves the folder."
    assert said in out.splitlines()
    assert not (tmp_path / "new" / "config" / "out.json").exists()


def test_an_archive_that_is_too_large_to_be_looked_at_is_refused(call, echo, tmp_path):
    echo.joinpath(*"abcdefghijklmnopqr").mkdir(parents=True)

    code, _, err = call(echo)

    assert code == 1
    assert "Folders are nested too deeply" in err
    assert not (tmp_path / "new").exists()


def test_changes_stand_with_their_lines_and_what_remains_with_its_mend(call):
    code, out, _ = call(ROOT / "tests" / "assets" / "mmars" / "older")

    lines = out.splitlines()
    assert code == 0
    assert "  config/config_fed_server.json" in lines
    assert "    12: 'validate_on_server' is now 'validate_every'." in lines
    remaining = lines[next(i for i, line in enumerate(lines) if line.startswith("To be decided")) :]
    lacking = next(i for i, line in enumerate(remaining) if "a filter named 'Scale'" in line)
    assert remaining[lacking + 1].startswith("      Installed filters: ")


def test_what_cannot_be_upgraded_ends_with_its_code_and_writes_nothing(call, echo, tmp_path):
    (echo / "config" / "config_train.json").write_text("{,}")
    assert call(echo)[0] == 1
    code, _, err = call(tmp_path / "nowhere")
    assert code == 2
    assert "MMAR_UNREADABLE" in err
    assert not (tmp_path / "new").exists()
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "mine").touch()
    code, _, err = call(ROOT / "mmars" / "echo")
    assert code == 2
    assert "exists and is not an empty folder" in err
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["mine"]
